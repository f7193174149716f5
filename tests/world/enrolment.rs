//! Giving the operator its rights to Secrets in some namespaces instead of everywhere, as docs/security.md tells to.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use keyloan::cluster::Enrolled;
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::World;

/// The role with what the operator may do in enrolled namespaces, and its bindings.
const ENROLLED: &str = "keyloan-enrolled";

impl World {
    /// Takes the rights to Secrets, Roles and RoleBindings away everywhere, if that is not done yet, and gives them back in
    /// those of these namespaces that exist. The operator is told of all of them when it starts next.
    pub async fn enrol(&mut self, namespaces: &[&str]) {
        let everywhere: Api<ClusterRoleBinding> = Api::all(self.admin.clone());
        if everywhere
            .get_opt(ENROLLED)
            .await
            .expect("readable")
            .is_some()
        {
            everywhere
                .delete(ENROLLED, &DeleteParams::default())
                .await
                .expect("deleted");
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
        self.settings.enrolled = Enrolled::only(namespaces.iter().copied());
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
