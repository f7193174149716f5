//! Giving the operator its rights to Secrets in some namespaces instead of everywhere, as docs/security.md tells to.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, RoleBinding, RoleRef, Subject};
use keyloan::cluster::Enrolled;
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::World;

/// The role that has all the operator's rights in all namespaces.
const EVERYWHERE: &str = "keyloan";

/// The role and the bindings by which it has some in some namespaces.
const ENROLLED: &str = "keyloan-enrolled";

const RESOURCES: [&str; 3] = ["secrets", "roles", "rolebindings"];

impl World {
    /// Takes the rights to Secrets, Roles and RoleBindings away everywhere, if that is not done yet, and gives them back in
    /// those of these namespaces that exist. The operator is told of all of them when it starts next.
    pub async fn enrol(&mut self, namespaces: &[&str]) {
        let roles: Api<ClusterRole> = Api::all(self.admin.clone());
        let mut everywhere = roles.get(EVERYWHERE).await.expect("there");
        let concerned = |rule: &PolicyRule| {
            let mut named = rule.resources.iter().flatten();
            named.any(|resource| RESOURCES.contains(&resource.as_str()))
        };
        let rules = everywhere.rules.take().expect("rules");
        let (scoped, rest): (Vec<_>, Vec<_>) = rules.into_iter().partition(concerned);
        if !scoped.is_empty() {
            let enrolled = ClusterRole {
                metadata: named(ENROLLED),
                rules: Some(scoped),
                ..ClusterRole::default()
            };
            roles
                .create(&PostParams::default(), &enrolled)
                .await
                .expect("created");
            everywhere.rules = Some(rest);
            roles
                .replace(EVERYWHERE, &PostParams::default(), &everywhere)
                .await
                .expect("replaced");
        }
        for namespace in namespaces {
            let binding = RoleBinding {
                metadata: named(ENROLLED),
                role_ref: RoleRef {
                    api_group: "rbac.authorization.k8s.io".into(),
                    kind: "ClusterRole".into(),
                    name: ENROLLED.into(),
                },
                subjects: Some(vec![Subject {
                    kind: "ServiceAccount".into(),
                    name: OPERATOR_SERVICE_ACCOUNT.into(),
                    namespace: Some(OPERATOR_NAMESPACE.into()),
                    api_group: None,
                }]),
            };
            match self
                .bindings(namespace)
                .create(&PostParams::default(), &binding)
                .await
            {
                Ok(_) => {
                    self.until_allowed_in(namespace, "", "secrets", "list", true)
                        .await;
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.until_allowed_in("team-b", "", "secrets", "list", false)
            .await;
        self.settings.enrolled = Enrolled::Only(namespaces.iter().map(|n| (*n).into()).collect());
    }

    /// Takes the rights away that the operator has in this namespace.
    pub async fn withdraw(&self, namespace: &str) {
        self.bindings(namespace)
            .delete(ENROLLED, &DeleteParams::default())
            .await
            .expect("deleted");
        self.until_allowed_in(namespace, "", "secrets", "get", false)
            .await;
    }

    fn bindings(&self, namespace: &str) -> Api<RoleBinding> {
        Api::namespaced(self.admin.clone(), namespace)
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        ..ObjectMeta::default()
    }
}
