//! What a thief of the operator's token can do, by the API server's own word, and what they try in vain.

use k8s_openapi::api::core::v1::Secret;
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::chart::allowed;
use crate::chart::installed::Installed;
use crate::world::{LINKS, PLATFORM, TEAM, World};

pub const RBAC: &str = "rbac.authorization.k8s.io/v1";

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_token_is_good_for_this_and_nothing_else() {
    let values = json!({ "integrationNamespaces": [PLATFORM] });
    let installed = Installed::from(|chart| chart.folder(), values).await;
    let world = &installed.world;
    let thief = world.as_operator().await;
    allowed::this_and_nothing_else(world, &thief).await;
    reads_no_secret_of_others(world, &thief).await;
    gets_no_further(world, &thief).await;
    writes_nothing_but_links(&thief).await;
    changes_no_rule_and_becomes_nobody_else(&thief).await;
    allowed::a_right_of_everybody_would_show(world, &thief).await;
}

/// Neither one by one nor all at once; the administrator, who may, does.
async fn reads_no_secret_of_others(world: &World, thief: &Client) {
    let list = ListParams::default();
    for namespace in [TEAM, OPERATOR_NAMESPACE, "kube-system"] {
        let theirs = opaque(namespace, "theirs");
        create(&world.admin, &theirs, false).await.unwrap();
        let secrets = |client: &Client| Api::<Secret>::namespaced(client.clone(), namespace);
        secrets(&world.admin).get("theirs").await.unwrap();
        assert_forbidden(secrets(thief).get("theirs").await);
        assert_forbidden(secrets(thief).list(&list).await);
        assert_forbidden(
            secrets(thief)
                .watch(&Default::default(), "0")
                .await
                .map(drop),
        );
        assert_forbidden(
            secrets(thief)
                .delete("theirs", &Default::default())
                .await
                .map(drop),
        );
    }
    assert_forbidden(Api::<Secret>::all(thief.clone()).list(&list).await);
    // What an administrator keeps beside the links is not its to take away.
    create(&world.admin, &opaque(LINKS, "theirs"), false)
        .await
        .unwrap();
    let links: Api<Secret> = Api::namespaced(thief.clone(), LINKS);
    assert_forbidden(links.delete("theirs", &Default::default()).await.map(drop));
}

/// Each of these objects would give it more, or lend what nobody approved. They are fine for an administrator: it is the right that is missing.
async fn gets_no_further(world: &World, thief: &Client) {
    let keyloan = "keyloan.dev/v1alpha1";
    let request = json!({ "spec": {
        "integration": { "name": "prod", "namespace": PLATFORM },
        "item": { "vault": "Infra", "item": "db password" },
        "notAfter": "2999-01-01T00:00:00Z",
    } });
    let denial =
        json!({ "spec": { "grant": "stolen", "grantUid": "0b54a15c-1", "decision": "Deny" } });
    let pod = json!({ "spec": { "containers": [{ "name": "a", "image": "a" }] } });
    let mut everywhere = vec![
        named(keyloan, "AccessDecision", Some(TEAM), denial),
        named(keyloan, "AccessGrant", Some(TEAM), request.clone()),
    ];
    everywhere.extend(all_rights("Cluster", None));
    for namespace in [TEAM, PLATFORM, OPERATOR_NAMESPACE] {
        everywhere.extend(all_rights("", Some(namespace)));
        everywhere.push(opaque(namespace, "stolen"));
        everywhere.push(named("v1", "Pod", Some(namespace), pod.clone()));
    }
    for object in &everywhere {
        let refusal = create(thief, object, false).await.expect_err("refused");
        assert!(refusal.contains("forbidden"), "{object}: {refusal}");
        // Who decides and who asks is a person; the administrator's own policies hold, too.
        let mut object = object.clone();
        if object["apiVersion"] == keyloan {
            world.sign(&world.admin, &mut object).await;
        }
        let made = create(&world.admin, &object, true).await;
        assert!(made.is_ok(), "{object}: {made:?}");
    }
    // In its own namespace it makes grants in dry runs only.
    let mut request = named(keyloan, "AccessGrant", Some(OPERATOR_NAMESPACE), request);
    world.sign(thief, &mut request).await;
    let refusal = create(thief, &request, false).await.expect_err("refused");
    assert!(refusal.contains("keyloan-identity: "), "{refusal}");
}

/// A role with all rights, and a binding of the one that Kubernetes has; of the cluster or of a namespace.
fn all_rights(of: &str, namespace: Option<&str>) -> [Value; 2] {
    let me = json!({ "kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE });
    let rules = json!({ "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }] });
    let bound = binding("ClusterRole", "cluster-admin", &me);
    [
        named(RBAC, &format!("{of}Role"), namespace, rules),
        named(RBAC, &format!("{of}RoleBinding"), namespace, bound),
    ]
}

const LINK: &str = "keyloan-link-0b54a15c-0000-4000-8000-000000000000";
const ANOTHER: &str = "keyloan-link-0b54a15c-0000-4000-8000-000000000001";

/// Who refuses: the policies, or Kubernetes' own guard against those who would give more than they have.
const NOT_A_LINK: &str = "keyloan-link: Keyloan's operator can write only the Secrets of links";
const RIGHT_TO_ONE: &str = "keyloan-link: Keyloan's operator can grant only the right";
const ESCALATES: &str = "attempting to grant RBAC permissions not currently held";

/// Among the links it can write a link, and let one person read it: nothing that mints a token, nothing that gives more.
async fn writes_nothing_but_links(thief: &Client) {
    let of_link = |api: &str, kind: &str, name: &str, more: Value| {
        let mut object = named(api, kind, Some(LINKS), more);
        object["metadata"]["name"] = json!(name);
        object
    };
    let secret = |name: &str, of_type: &str| {
        let contents = json!({ "type": of_type, "stringData": { "url": "b" } });
        let mut secret = of_link("v1", "Secret", name, contents);
        secret["metadata"]["labels"] = json!({ "keyloan.dev/secret": "link" });
        secret["metadata"]["annotations"] =
            json!({ "kubernetes.io/service-account.name": "default" });
        secret
    };
    let role = |name: &str, rule: Value| of_link(RBAC, "Role", name, json!({ "rules": [rule] }));
    let rule = |names: Value, verbs: Value| json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": verbs });
    let reads = |name: &str| rule(json!([name]), json!(["get"]));
    let mallory = json!({ "kind": "User", "name": "mallory@example.com", "apiGroup": "rbac.authorization.k8s.io" });
    let bound = |name: &str, kind: &str, role: &str| {
        of_link(RBAC, "RoleBinding", name, binding(kind, role, &mallory))
    };

    // The twins: a link, and one person who reads it.
    let made = create(thief, &role(LINK, reads(LINK)), false).await;
    assert!(made.is_ok(), "{made:?}");
    let fine = [
        secret(ANOTHER, "keyloan.dev/link"),
        role(ANOTHER, reads(ANOTHER)),
        bound(LINK, "Role", LINK),
    ];
    for object in &fine {
        let made = create(thief, object, true).await;
        assert!(made.is_ok(), "{object}: {made:?}");
    }
    let mut with_more = secret(ANOTHER, "keyloan.dev/link");
    with_more["stringData"]["kubeconfig"] = json!("b");
    let mut for_two = bound(LINK, "Role", LINK);
    for_two["subjects"] = json!([mallory, mallory]);
    let anything = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
    let kept_from_it = [
        (secret("stolen", "keyloan.dev/link"), NOT_A_LINK),
        (secret(ANOTHER, "Opaque"), NOT_A_LINK),
        (
            secret(ANOTHER, "kubernetes.io/service-account-token"),
            NOT_A_LINK,
        ),
        (with_more, NOT_A_LINK),
        (role(ANOTHER, anything), ESCALATES),
        (
            role(ANOTHER, rule(Value::Null, json!(["get"]))),
            RIGHT_TO_ONE,
        ),
        (role(ANOTHER, reads(LINK)), RIGHT_TO_ONE),
        (
            role(ANOTHER, rule(json!([ANOTHER]), json!(["get", "delete"]))),
            RIGHT_TO_ONE,
        ),
        (bound(LINK, "Role", "keyloan-links"), RIGHT_TO_ONE),
        (bound(LINK, "ClusterRole", "view"), ESCALATES),
        (bound("stolen", "Role", LINK), RIGHT_TO_ONE),
        (for_two, RIGHT_TO_ONE),
    ];
    for (object, by_whom) in &kept_from_it {
        let refusal = create(thief, object, false).await.expect_err("refused");
        assert!(refusal.contains(by_whom), "{object}: {refusal}");
    }
}

/// The rules that hold it, and who else it could be.
async fn changes_no_rule_and_becomes_nobody_else(thief: &Client) {
    let policies =
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/keyloan-grant-identity";
    let kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/accessgrants.keyloan.dev";
    for path in [policies, kinds] {
        let delete = http::Request::delete(path).body(Vec::new()).unwrap();
        assert_forbidden(thief.request::<Value>(delete).await);
    }
    let account = format!(
        "/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts/{OPERATOR_SERVICE_ACCOUNT}/token"
    );
    let token =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let token = serde_json::to_vec(&token).unwrap();
    let token = http::Request::post(account).body(token).unwrap();
    assert_forbidden(thief.request::<Value>(token).await);
    let path = format!("/api/v1/namespaces/{TEAM}/secrets/theirs");
    let disguised = http::Request::get(path).header("Impersonate-User", "admin");
    let disguised = disguised.body(Vec::new()).unwrap();
    assert_forbidden(thief.request::<Value>(disguised).await);
}

pub fn named(api: &str, kind: &str, namespace: Option<&str>, more: Value) -> Value {
    let mut object = json!({
        "apiVersion": api, "kind": kind, "metadata": { "name": "stolen", "namespace": namespace },
    });
    let members = object.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    object
}

fn opaque(namespace: &str, name: &str) -> Value {
    let mut secret = named(
        "v1",
        "Secret",
        Some(namespace),
        json!({ "stringData": { "a": "b" } }),
    );
    secret["metadata"]["name"] = json!(name);
    secret
}

pub fn binding(kind: &str, role: &str, subject: &Value) -> Value {
    json!({
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": [subject],
    })
}

/// Creates an object, or tries whether that would do; the error is what the API server says.
pub async fn create(client: &Client, object: &Value, dry_run: bool) -> Result<(), String> {
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let types = object.types.clone().unwrap();
    let (group, version) = types
        .api_version
        .split_once('/')
        .unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PostParams {
        dry_run,
        ..PostParams::default()
    };
    api.create(&params, &object)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

fn assert_forbidden<T: std::fmt::Debug>(answer: kube::Result<T>) {
    match answer {
        Err(kube::Error::Api(status))
            if status.code == 403 || status.message.contains("keyloan-link: ") => {}
        answer => panic!("not refused: {answer:?}"),
    }
}
