//! The objects that carry a link, tampered with: planted, orphaned, lost, unbound, kept by a finalizer.

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use keyloan::api::*;
use keyloan::cluster::KubeAccess;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions;
use kube::runtime::wait::Condition as _;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::waits::{patiently, watched};
use super::{LINKS, World};

impl World {
    /// Puts a Secret where a grant's link will want to be: as the operator, because admission lets nobody else do that.
    pub async fn plant_secret(&self, grant: &AccessGrant, url: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": link_name(&grant.uid().expect("one")), "labels": { SECRET_LABEL: "link" },
            },
            "type": LINK_TYPE,
            "stringData": { "url": url },
        });
        let secret = serde_json::from_value(secret).expect("a secret");
        self.secrets_as_operator()
            .await
            .create(&PostParams::default(), &secret)
            .await
            .expect("created");
    }

    async fn secrets_as_operator(&self) -> Api<Secret> {
        Api::namespaced(self.as_operator().await, LINKS)
    }

    pub async fn as_operator(&self) -> Client {
        let kubeconfig = self.cluster.operator_kubeconfig().await.expect("a file");
        let access = KubeAccess::Kubeconfig(kubeconfig);
        keyloan::cluster::connect(&access).await.expect("a client")
    }

    /// Deletes the Role of a grant's link so that its Secret and RoleBinding stay behind, without
    /// an owner. The garbage collector does this for a client that asks it to leave orphans, but
    /// only with objects that it knows.
    pub async fn orphan_link(&self, grant: &AccessGrant) {
        let name = link_name(&grant.uid().expect("one"));
        let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
        let collector = self
            .impersonating(collector, vec!["system:masters".into()])
            .await;
        let ownerless = Patch::Merge(json!({ "metadata": { "ownerReferences": null } }));
        let secrets: Api<Secret> = Api::namespaced(collector.clone(), LINKS);
        let bindings: Api<RoleBinding> = Api::namespaced(collector, LINKS);
        let params = PatchParams::default();
        secrets
            .patch(&name, &params, &ownerless)
            .await
            .expect("patched");
        bindings
            .patch(&name, &params, &ownerless)
            .await
            .expect("patched");
        self.remove_of_link::<Role>(grant).await;
    }

    /// Deletes the Secret of a grant's link, as somebody might who may.
    pub async fn lose_link(&self, grant: &AccessGrant) {
        self.remove_of_link::<Secret>(grant).await;
    }

    async fn remove_of_link<K>(&self, grant: &AccessGrant)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let name = link_name(&grant.uid().expect("one"));
        let objects: Api<K> = Api::namespaced(self.admin.clone(), LINKS);
        let uid = objects.get(&name).await.expect("there").uid().expect("one");
        objects
            .delete(&name, &DeleteParams::background())
            .await
            .expect("deleted");
        let is_deleted = conditions::is_deleted(&uid);
        let gone = watched(&objects, &name, |seen| is_deleted.matches_object(seen));
        patiently("an object to go", gone).await;
    }

    /// Takes the requester's right to read a link away; returns the binding that gave it.
    pub async fn unbind_link(&self, grant: &AccessGrant) -> RoleBinding {
        let name = link_name(&grant.uid().expect("one"));
        let bindings: Api<RoleBinding> = Api::namespaced(self.admin.clone(), LINKS);
        let binding = bindings.get(&name).await.expect("there");
        bindings
            .delete(&name, &DeleteParams::background())
            .await
            .expect("deleted");
        let requester = grant.spec.requester.as_ref().expect("stamped");
        let to_read = ResourceAttributes {
            resource: Some("secrets".into()),
            verb: Some("get".into()),
            namespace: Some(LINKS.into()),
            name: Some(name),
            ..ResourceAttributes::default()
        };
        self.until_may(&requester.username, to_read, false).await;
        binding
    }

    /// Gives it back: as the operator, because admission lets nobody else do that.
    pub async fn bind_link(&self, mut binding: RoleBinding) {
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        let bindings: Api<RoleBinding> = Api::namespaced(self.as_operator().await, LINKS);
        bindings
            .create(&PostParams::default(), &binding)
            .await
            .expect("created");
    }

    /// Puts a finalizer on the Secret of a grant's link, or takes it off: as the operator, for the same reason.
    pub async fn keep_link(&self, grant: &AccessGrant, keep: bool) {
        let finalizers = if keep {
            vec!["example.com/kept"]
        } else {
            vec![]
        };
        let patch = json!({ "metadata": { "finalizers": finalizers } });
        let name = link_name(&grant.uid().expect("one"));
        self.secrets_as_operator()
            .await
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("patched");
    }
}
