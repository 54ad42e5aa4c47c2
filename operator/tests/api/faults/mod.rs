//! Faults between the operator and a real API server: a layer under the kube client that counts what is written, and lets chosen calls go wrong.
//!
//! A [`Plan`] says what goes wrong; it outlives the clients made with it. Each [`client`] is one life of a process: after a crash all its calls fail, and the
//! next client is the restart.

mod call;
mod layer;
mod watch;

pub(crate) use call::{Call, Verb};
pub(crate) use layer::Faults;
pub(crate) use watch::Change;

use bytes::Bytes;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use testkit::ApiServer;

/// What goes wrong, and what was done. Every clone is the same plan.
#[derive(Clone, Default)]
pub(crate) struct Plan(Arc<Mutex<Rules>>);

/// One request that changes something. Those on Leases are none: they come by the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// What was asked for.
    pub(crate) call: Call,
    /// The API server did it.
    pub(crate) landed: bool,
    /// It made an object.
    pub(crate) created: bool,
}

/// Which calls a rule is about; by default every one.
#[derive(Debug, Clone, Default)]
pub(crate) struct When {
    verb: Option<Verb>,
    plural: Option<&'static str>,
    name: Option<String>,
}

/// What comes instead of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This HTTP status, with a Status of the API; the call doesn't reach the server.
    Status(u16),
    /// The call doesn't reach the server, and fails.
    Unreachable,
    /// The call is done, and fails: its reply is lost.
    LostReply,
    /// No answer ever comes; the call doesn't reach the server.
    Silence,
    /// For a watch: it begins, and says at once that its version is too old (410 as an event).
    Expired,
}

#[derive(Default)]
struct Rules {
    writes: Vec<Write>,
    crash: Option<Crash>,
    has_crashed: bool,
    answers: Vec<(When, Answer, usize)>,
    kept_lists: HashMap<String, Bytes>,
    keeping: Vec<&'static str>,
    stale: HashMap<&'static str, usize>,
    dropping: Vec<(&'static str, Drops)>,
    dropped: usize,
}

type Drops = Box<dyn Fn(&Change) -> bool + Send>;

#[derive(Debug, Clone, Copy)]
enum Crash {
    Before(usize),
    After(usize),
}

impl When {
    /// Only calls of a verb.
    pub(crate) fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only calls on a resource, as `configmaps` or `deployments/scale`.
    pub(crate) fn of(mut self, plural: &'static str) -> Self {
        self.plural = Some(plural);
        self
    }

    /// Only calls on an object of this name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn fits(&self, call: &Call) -> bool {
        self.verb.is_none_or(|verb| verb == call.verb)
            && self.plural.is_none_or(|plural| plural == call.plural)
            && self.name.as_ref().is_none_or(|name| *name == call.name)
    }
}

impl Plan {
    /// The process ends before its n-th write (from 1) is sent.
    pub(crate) fn crash_before(&self, write: usize) {
        self.rules().crash = Some(Crash::Before(write));
    }

    /// The process ends when its n-th write (from 1) was done, before it learns that.
    pub(crate) fn crash_after(&self, write: usize) {
        self.rules().crash = Some(Crash::After(write));
    }

    /// Answers the next so many calls that fit in another way. The rule given first goes first.
    pub(crate) fn answer(&self, when: When, answer: Answer, times: usize) {
        self.rules().answers.push((when, answer, times));
    }

    /// Keeps the next list of a resource, of each place and selector; [`Plan::serve_kept`] brings it back.
    pub(crate) fn keep_list(&self, plural: &'static str) {
        self.rules().keeping.push(plural);
    }

    /// Keeps the next list of each of these, see [`Plan::keep_list`].
    pub(crate) fn keep_lists(&self, plurals: &[&'static str]) {
        for plural in plurals {
            self.keep_list(plural);
        }
    }

    /// Answers the next list of each of these with the kept one.
    pub(crate) fn serve_all_kept(&self, plurals: &[&'static str]) {
        for plural in plurals {
            self.serve_kept(plural, 1);
        }
    }

    /// Whether so many lists are kept.
    pub(crate) fn has_kept(&self, lists: usize) -> bool {
        self.rules().kept_lists.len() >= lists
    }

    /// Answers the next so many lists of a resource with the kept ones.
    pub(crate) fn serve_kept(&self, plural: &'static str, times: usize) {
        self.rules().stale.insert(plural, times);
    }

    /// Lets those changes of a resource disappear from the watches, running ones too, for which `which` says so.
    pub(crate) fn drop_changes(&self, plural: &'static str, which: impl Fn(&Change) -> bool + Send + 'static) {
        self.rules().dropping.push((plural, Box::new(which)));
    }

    /// From now on nothing more goes wrong. What was dropped stays lost.
    pub(crate) fn heal(&self) {
        let mut rules = self.rules();
        rules.crash = None;
        rules.answers.clear();
        rules.stale.clear();
        rules.dropping.clear();
    }

    /// Every write so far, of all lives.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.rules().writes.clone()
    }

    /// Whether the process has ended as planned.
    pub(crate) fn has_crashed(&self) -> bool {
        self.rules().has_crashed
    }

    /// How many changes disappeared.
    pub(crate) fn dropped(&self) -> usize {
        self.rules().dropped
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().expect("no rule panics")
    }
}

/// Where the API server is, as its administrator.
pub(crate) async fn config(server: &ApiServer) -> Config {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a context");
    // What goes wrong must be seen, not repeated underneath.
    config.default_retry = false;
    config
}

/// A client with the plan's faults: a new life.
pub(crate) async fn client(server: &ApiServer, plan: &Plan) -> Client {
    let builder = ClientBuilder::try_from(config(server).await).expect("a client");
    builder.with_layer(&Faults::new(plan)).build()
}
