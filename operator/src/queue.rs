//! The work queue: what is to be looked at, in the order in which it came.
//!
//! As controllers know it: what is in the queue is in it once; nothing is worked on twice at the same time; and what something happens to meanwhile comes
//! again afterwards. First come, first served: of a thousand that come at once none is looked at again and again before others are looked at at all.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue of keys. All of it may be called from anywhere.
#[derive(Debug)]
pub struct WorkQueue<K> {
    state: Mutex<State<K>>,
    came: Notify,
}

#[derive(Debug)]
struct State<K> {
    /// With the time when each came.
    waiting: VecDeque<(K, Instant)>,
    is_waiting: HashSet<K>,
    /// Being worked on, and whether it is to come again at once.
    taken: HashMap<K, bool>,
    /// By the time when each comes, and a number that tells apart those of the same time.
    later: BTreeMap<Due, K>,
    due: HashMap<K, Due>,
    count: u64,
    closed: bool,
}

type Due = (Instant, u64);

/// A key that is worked on until this is dropped.
#[derive(Debug)]
pub struct Taken<'q, K: Hash + Eq + Clone> {
    queue: &'q WorkQueue<K>,
    /// Which.
    pub key: K,
    /// How long it waited for its turn.
    pub waited: Duration,
    again: Option<Duration>,
}

impl<K> Default for WorkQueue<K> {
    fn default() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            is_waiting: HashSet::new(),
            taken: HashMap::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            count: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), came: Notify::new() }
    }
}

impl<K: Hash + Eq + Clone> WorkQueue<K> {
    /// Has it looked at as soon as it is its turn.
    pub fn add(&self, key: K) {
        self.state().add(key);
        self.came.notify_one();
    }

    /// How many wait for their turn.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Whether nobody waits for a turn.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the next; none: the queue is closed.
    pub async fn next(&self) -> Option<Taken<'_, K>> {
        loop {
            // Asked for before the look, so that nothing comes between.
            let came = self.came.notified();
            let due = {
                let mut state = self.state();
                if state.closed {
                    drop(state);
                    // Whoever waits beside this one.
                    self.came.notify_one();
                    return None;
                }
                state.bring_what_is_due(Instant::now());
                if let Some((key, since)) = state.take() {
                    // Also who waits for a time must have looked since the earliest was set.
                    let more = !state.waiting.is_empty() || !state.later.is_empty();
                    drop(state);
                    if more {
                        self.came.notify_one();
                    }
                    return Some(Taken { queue: self, key, waited: since.elapsed(), again: None });
                }
                state.later.first_key_value().map(|((at, _), _)| *at)
            };
            match due {
                Some(at) => drop(tokio::time::timeout_at(at, came).await),
                None => came.await,
            }
        }
    }

    /// Nothing comes out any more.
    pub fn close(&self) {
        self.state().closed = true;
        self.came.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> State<K> {
    fn add(&mut self, key: K) {
        if let Some(again) = self.taken.get_mut(&key) {
            *again = true;
            return;
        }
        if let Some(due) = self.due.remove(&key) {
            self.later.remove(&due);
        }
        if self.is_waiting.insert(key.clone()) {
            self.waiting.push_back((key, Instant::now()));
        }
    }

    fn take(&mut self) -> Option<(K, Instant)> {
        let (key, since) = self.waiting.pop_front()?;
        self.is_waiting.remove(&key);
        self.taken.insert(key.clone(), false);
        Some((key, since))
    }

    fn bring_what_is_due(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }

    fn give_back(&mut self, key: &K, after: Option<Duration>) {
        match (self.taken.remove(key), after) {
            (Some(true), _) => self.add(key.clone()),
            (_, Some(after)) => {
                self.count += 1;
                let due = (Instant::now() + after, self.count);
                self.due.insert(key.clone(), due);
                self.later.insert(due, key.clone());
            }
            (_, None) => {}
        }
    }
}

impl<K: Hash + Eq + Clone> Taken<'_, K> {
    /// It comes again after so long, or sooner if something happens to it.
    pub fn again_in(&mut self, after: Duration) {
        self.again = Some(after);
    }
}

impl<K: Hash + Eq + Clone> Drop for Taken<'_, K> {
    fn drop(&mut self) {
        self.queue.state().give_back(&self.key, self.again);
        self.queue.came.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    fn take<K: Hash + Eq + Clone>(queue: &WorkQueue<K>) -> Option<Taken<'_, K>> {
        queue.next().now_or_never().map(|taken| taken.expect("it isn't closed"))
    }

    fn keys(queue: &WorkQueue<u8>) -> Vec<u8> {
        std::iter::from_fn(|| take(queue).map(|taken| taken.key)).collect()
    }

    #[tokio::test]
    async fn who_comes_first_is_served_first_and_is_in_it_once() {
        let queue = WorkQueue::default();
        for key in [3, 1, 2, 1, 3, 4] {
            queue.add(key);
        }
        assert_eq!(queue.len(), 4);
        assert_eq!(keys(&queue), [3, 1, 2, 4]);
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn what_something_happens_to_meanwhile_comes_again_afterwards_and_behind_the_others() {
        let queue = WorkQueue::default();
        queue.add(1);
        let mut first = take(&queue).expect("it came");
        queue.add(1);
        queue.add(2);
        assert!(take(&queue).is_some_and(|taken| taken.key == 2), "one is never worked on twice at the same time");
        first.again_in(Duration::from_hours(1));
        drop(first);
        assert_eq!(keys(&queue), [1], "at once, not in an hour");
        assert_eq!(keys(&queue), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_come_later_comes_then_or_sooner_if_something_happens_to_it() {
        let queue = WorkQueue::default();
        for (key, after) in [(1, 20), (2, 10), (3, 30)] {
            queue.add(key);
            take(&queue).expect("it came").again_in(Duration::from_secs(after));
        }
        queue.add(3);
        let began = Instant::now();
        let mut came = Vec::new();
        while came.len() < 3 {
            came.push((queue.next().await.expect("it isn't closed").key, began.elapsed().as_secs()));
        }
        assert_eq!(came, [(3, 0), (2, 10), (1, 20)]);
        assert!(tokio::time::timeout(Duration::from_hours(1), queue.next()).await.is_err(), "3 does not come twice");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_is_lost_or_worked_on_twice_at_once_by_many() {
        const KEYS: usize = 200;
        const TIMES: u32 = 20;
        type Key = Arc<(AtomicBool, AtomicU32)>;
        let keys: Vec<Key> = (0..KEYS).map(|_| Key::default()).collect();
        let queue = Arc::new(WorkQueue::<usize>::default());
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (queue, keys) = (queue.clone(), keys.clone());
                tokio::spawn(async move {
                    while let Some(mut taken) = queue.next().await {
                        let (busy, times) = &*keys[taken.key];
                        assert!(!busy.swap(true, Ordering::SeqCst), "worked on twice at once");
                        tokio::task::yield_now().await;
                        let done = times.fetch_add(1, Ordering::SeqCst) + 1;
                        busy.store(false, Ordering::SeqCst);
                        if done < TIMES {
                            taken.again_in(Duration::from_micros(u64::from(done % 3) * 500));
                        }
                    }
                })
            })
            .collect();
        for key in (0..KEYS).chain((0..KEYS).rev()) {
            queue.add(key);
            tokio::task::yield_now().await;
        }
        let all_done = async {
            while keys.iter().any(|key| key.1.load(Ordering::SeqCst) < TIMES) {
                tokio::task::yield_now().await;
            }
            queue.close();
            for worker in workers {
                worker.await.expect("it ends");
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all_done).await.expect("each comes as often as it asks to");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_served_and_leave_when_it_is_closed() {
        let queue = Arc::new(WorkQueue::default());
        let all: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut served = 0_u32;
                    while let Some(mut taken) = queue.next().await {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        served += 1;
                        taken.again_in(Duration::from_secs(10));
                    }
                    served
                })
            })
            .collect();
        for key in 0..8 {
            queue.add(key);
        }
        // Two rows of four, and after ten seconds the same again.
        tokio::time::sleep(Duration::from_secs(15)).await;
        queue.close();
        let mut served = Vec::new();
        for one in all {
            served.push(one.await.expect("it ends"));
        }
        assert_eq!(served, [4; 4]);
    }
}
