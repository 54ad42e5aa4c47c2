//! What the operator has to be allowed, and whether it is: the rules of its Role, asked of the API server one by one.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::{Client, Result};

/// Group, resource (with its subresource), verbs.
pub type Rule = (&'static str, &'static str, &'static str);

/// In each namespace whose campaigns it runs.
pub const WATCHED: [Rule; 13] = [
    ("mailcampaign.io", "mailcampaigns", "get list watch patch update delete"),
    ("mailcampaign.io", "mailcampaigns/status", "patch update"),
    ("mailcampaign.io", "mailcampaigns/finalizers", "update"),
    ("", "configmaps", "get list watch create patch update delete"),
    ("", "secrets", "get list watch"),
    ("", "pods", "get list watch"),
    ("", "persistentvolumeclaims", "get list watch"),
    ("", "events", "list watch"),
    ("apps", "deployments", "get list watch create patch update delete"),
    ("apps", "deployments/scale", "get patch update"),
    ("batch", "jobs", "get list watch create patch update delete"),
    ("autoscaling", "horizontalpodautoscalers", "get list watch create patch update delete"),
    ("events.k8s.io", "events", "create patch"),
];
/// In its own namespace besides; get and update of its own Lease only.
pub const OWN: [Rule; 1] = [("coordination.k8s.io", "leases", "create get update")];

/// So many questions are under way at once, at most.
const AT_ONCE: usize = 8;

/// Which of the rights are missing: `create jobs.batch`.
///
/// # Errors
/// The API server doesn't answer.
pub async fn missing(
    client: &Client,
    rules: &[Rule],
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<String>> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let each = rules
        .iter()
        .flat_map(|(group, resource, verbs)| verbs.split_whitespace().map(move |verb| (*group, *resource, verb)));
    let asked = stream::iter(each).map(async |(group, resource, verb)| {
        let (kind, subresource) = resource.split_once('/').map_or((resource, None), |(kind, sub)| (kind, Some(sub)));
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(kind.to_owned()),
            subresource: subresource.map(str::to_owned),
            verb: Some(verb.to_owned()),
            namespace: namespace.map(str::to_owned),
            // What is to be made has no name yet.
            name: name.filter(|_| verb != "create").map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let has = answer.status.is_some_and(|status| status.allowed);
        let dot = if group.is_empty() { "" } else { "." };
        Ok::<_, kube::Error>((!has).then(|| format!("{verb} {resource}{dot}{group}")))
    });
    let answers: Vec<Option<String>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}
