//! Who asks and who decides, as people write it into a manifest where the API server does not write it.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use keyloan::api::{ADDRESS_TOLD, GROUP, VERSION};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::World;

impl World {
    /// Writes the person of this client into a request or a decision, unless the API server does: as a person there writes their own
    /// manifest, with the address that the policy's refusal names.
    pub async fn sign(&self, client: &Client, object: &mut Value) {
        if self.cluster.has_mutating_policies() {
            return;
        }
        let member = match object["kind"].as_str() {
            Some("AccessGrant") => "requester",
            _ => "approver",
        };
        object["spec"][member] = identity(client).await;
        if object["spec"]["decision"] == "Revoke" && may_revoke(client, object).await {
            object["spec"]["mayRevoke"] = json!(true);
        }
        if let Some(address) = address(client, object).await {
            object["spec"][member]["email"] = json!(address);
        }
    }
}

/// What the API server knows of somebody.
async fn identity(client: &Client) -> Value {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, nothing) = (PostParams::default(), SelfSubjectReview::default());
    let review = reviews.create(&params, &nothing).await.expect("an answer");
    let user = review.status.and_then(|s| s.user_info);
    let user = user.expect("somebody");
    let mut groups = user.groups.unwrap_or_default();
    groups.retain(|group| !group.starts_with("system:"));
    json!({ "username": user.username.expect("a name"), "groups": groups })
}

/// Whether somebody holds the verb on the grant of a decision.
async fn may_revoke(client: &Client, decision: &Value) -> bool {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.into()),
                resource: Some("accessgrants".into()),
                verb: Some("revoke".into()),
                namespace: text(&decision["metadata"]["namespace"]),
                name: text(&decision["spec"]["grant"]),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = reviews.create(&PostParams::default(), &review).await;
    answer.expect("an answer").status.is_some_and(|s| s.allowed)
}

/// The address that the policy names when it refuses an object without one.
async fn address(client: &Client, object: &Value) -> Option<String> {
    let kind = object["kind"].as_str().expect("a kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
    let namespace = object["metadata"]["namespace"].as_str().expect("one");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object = serde_json::from_value(object.clone()).expect("an object");
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let refused = api.create(&dry_run, &object).await.err()?.to_string();
    let (_, told) = refused.split_once(ADDRESS_TOLD)?;
    let told = told.trim_start_matches(['"', '\\']);
    let (address, _) = told.split_once(['"', '\\'])?;
    Some(address.to_owned())
}
