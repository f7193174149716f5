//! The floor: the cost of a loan's objects when a client just writes them, without reading anything
//! and without 1Password.
//!
//! One of the operator's loans is the pattern. The floor repeats its writes with the operator's own
//! identity, in the same order and with the same contents. Only names and uids differ. The same
//! watches report their arrival.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use keyloan::api::{AccessGrant, AccessRecord, INSTALL_LABEL, link_name};
use keyloan_cluster::LINKS_NAMESPACE;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::arrivals::Arrivals;
use crate::loans::Loan;
use crate::own_thread::OwnThread;
use crate::stage::{self, PLATFORM, Stage, TEAM};
use crate::stopwatch;

/// The namespace of the floor's requests and records, which is deleted with its contents. It is the
/// name of the floor's install, too.
const FLOOR: &str = "floor";
/// How long the deletion of the namespace may take.
const DELETED_WITHIN: Duration = Duration::from_secs(300);

/// Writes the objects that the operator would write.
pub struct Floor {
    alice: Client,
    operator: Client,
    /// The thread that sends the requests of the operator's identity and handles their responses.
    thread: OwnThread,
    arrivals: Arrivals,
    _watches: JoinSet<()>,
    pattern: Arc<Pattern>,
}

/// The objects of one loan, as texts in which names and uids are replaced.
struct Pattern {
    name: String,
    uid: String,
    role_uid: String,
    record: String,
    secret: String,
    role: String,
    binding: String,
    status: String,
}

impl Floor {
    /// Uses one of the operator's loans as the pattern. The operator must not run any more.
    pub async fn new(
        stage: &Stage,
        operator: impl Future<Output = Result<Client>> + Send + 'static,
        loan: &Loan,
    ) -> Result<Self> {
        let thread = OwnThread::start()?;
        let operator = thread.run(operator).await?;
        stage::namespace(&stage.admin, FLOOR).await?;
        let pattern = Pattern::of(&stage.admin, loan)
            .await
            .context("cannot read the loan that is the floor's pattern")?;
        let mut watches = JoinSet::new();
        let arrivals = Arrivals::watch(&stage.admin, FLOOR, &mut watches);
        Ok(Self {
            alice: stage.alice.clone(),
            operator,
            thread,
            arrivals,
            _watches: watches,
            pattern: Arc::new(pattern),
        })
    }

    /// Writes the objects of one loan, one after the other.
    pub async fn lend(&self, number: usize) -> Result<Loan> {
        let request = Stage::request(number, 1);
        let began = stopwatch::now();
        let grant = stage::create::<AccessGrant>(&self.alice, FLOOR, request).await?;
        let (name, uid) = (grant.name_any(), grant.uid().unwrap_or_default());
        let written = write(
            self.operator.clone(),
            self.pattern.clone(),
            name.clone(),
            uid.clone(),
        );
        self.thread
            .run(written)
            .await
            .context("the floor's own writes fail")?;
        let link = self
            .arrivals
            .wait(&uid, "its link Secret is there", |seen| seen.secret)
            .await?;
        let active = self
            .arrivals
            .wait(&uid, "it is Active", |seen| seen.active)
            .await?;
        Ok(Loan {
            name,
            uid,
            integration: 1,
            to_link: link - began,
            to_active: active - began,
        })
    }

    /// The processor time of the thread that writes.
    pub fn processor_time(&self) -> Result<Duration> {
        self.thread.processor_time()
    }

    /// Deletes everything that the floor has written.
    pub async fn clear(self, admin: &Client) -> Result<()> {
        // The Roles own the Secrets and the RoleBindings.
        let roles = Api::<Role>::namespaced(admin.clone(), LINKS_NAMESPACE);
        let of_floor = ListParams::default().labels(&format!("{INSTALL_LABEL}={FLOOR}"));
        roles
            .delete_collection(&DeleteParams::background(), &of_floor)
            .await?;
        let namespaces = Api::<Namespace>::all(admin.clone());
        namespaces.delete(FLOOR, &DeleteParams::default()).await?;
        let began = stopwatch::now();
        while namespaces.get_opt(FLOOR).await?.is_some() {
            if began.elapsed() > DELETED_WITHIN {
                bail!("the namespace {FLOOR} is still there {DELETED_WITHIN:?} after its deletion");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// Writes the operator's objects, in its order.
async fn write(operator: Client, pattern: Arc<Pattern>, name: String, uid: String) -> Result<()> {
    let of_grant = |text: &str| pattern.fill(text, &name, &uid, "");
    let role = of_floor(of_grant(&pattern.role)?);
    let role = stage::create::<Role>(&operator, LINKS_NAMESPACE, role).await?;
    let role_uid = role.uid().unwrap_or_default();
    let of_role = |text: &str| {
        let object = pattern.fill(text, &name, &uid, &role_uid);
        object.map(of_floor)
    };
    let binding = of_role(&pattern.binding)?;
    stage::create::<RoleBinding>(&operator, LINKS_NAMESPACE, binding).await?;
    let whole = of_grant(&pattern.record)?;
    let record = stage::create::<AccessRecord>(&operator, FLOOR, intent(whole.clone())).await?;
    let secret = of_role(&pattern.secret)?;
    stage::create::<Secret>(&operator, LINKS_NAMESPACE, secret).await?;
    let closed = json!({
        "metadata": { "resourceVersion": record.resource_version() },
        "spec": { "links": whole["spec"]["links"] },
    });
    let records = Api::<AccessRecord>::namespaced(operator.clone(), FLOOR);
    records
        .patch(&uid, &PatchParams::default(), &Patch::Merge(closed))
        .await?;
    let grants = Api::<AccessGrant>::namespaced(operator.clone(), FLOOR);
    let status = json!({ "status": of_grant(&pattern.status)? });
    grants
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

impl Pattern {
    async fn of(admin: &Client, loan: &Loan) -> Result<Self> {
        let link = link_name(&loan.uid);
        let grant = Api::<AccessGrant>::namespaced(admin.clone(), TEAM)
            .get_status(&loan.name)
            .await?;
        let role = Api::<Role>::namespaced(admin.clone(), LINKS_NAMESPACE)
            .get(&link)
            .await?;
        Ok(Self {
            name: loan.name.clone(),
            uid: loan.uid.clone(),
            role_uid: role.uid().unwrap_or_default(),
            record: get::<AccessRecord>(admin, PLATFORM, &loan.uid).await?,
            secret: get::<Secret>(admin, LINKS_NAMESPACE, &link).await?,
            role: get::<Role>(admin, LINKS_NAMESPACE, &link).await?,
            binding: get::<RoleBinding>(admin, LINKS_NAMESPACE, &link).await?,
            status: serde_json::to_string(&grant.status)?,
        })
    }

    fn fill(&self, text: &str, name: &str, uid: &str, role_uid: &str) -> Result<Value> {
        let text = text
            .replace(&self.uid, uid)
            .replace(&self.name, name)
            .replace(&self.role_uid, role_uid);
        Ok(serde_json::from_str(&text)?)
    }
}

/// Moves an object to the floor's install, which has no operator, so that none deletes it.
fn of_floor(mut object: Value) -> Value {
    object["metadata"]["labels"][INSTALL_LABEL] = FLOOR.into();
    object
}

/// The record as it is before the link exists: it contains only the intent to issue one.
fn intent(mut record: Value) -> Value {
    let links = record["spec"]["links"].as_array_mut();
    for link in links.into_iter().flatten().filter_map(Value::as_object_mut) {
        for known_later in ["issuedAt", "expiresAt", "itemVersion", "outcome"] {
            link.remove(known_later);
        }
    }
    record
}

/// An object as text, without the fields that the API server adds.
async fn get<K>(client: &Client, namespace: &str, name: &str) -> Result<String>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object = Api::<K>::namespaced(client.clone(), namespace)
        .get(name)
        .await?;
    Ok(as_written(serde_json::to_value(object)?).to_string())
}

fn as_written(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| {
            ["name", "labels", "annotations", "ownerReferences"].contains(&key.as_str())
        });
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_carries_its_own_names_and_uids_everywhere() {
        let secret = json!({
            "metadata": {
                "name": "keyloan-link-u1", "namespace": "team", "uid": "s1", "resourceVersion": "7",
                "ownerReferences": [{ "name": "loan-1", "uid": "u1" }],
            },
            "data": { "url": "x" },
        });
        let pattern = Pattern {
            name: "loan-1".into(),
            uid: "u1".into(),
            role_uid: "s1".into(),
            record: String::new(),
            secret: as_written(secret).to_string(),
            role: String::new(),
            binding: String::new(),
            status: String::new(),
        };
        let copy = pattern.fill(&pattern.secret, "loan-2", "u2", "s2").unwrap();
        let expected = json!({
            "metadata": { "name": "keyloan-link-u2", "ownerReferences": [{ "name": "loan-2", "uid": "u2" }] },
            "data": { "url": "x" },
        });
        assert_eq!(copy, expected);
    }

    #[test]
    fn an_intent_knows_nothing_of_the_link_that_comes_of_it() {
        let link = json!({
            "sequence": 1, "intentAt": "t", "latestEnd": "t",
            "issuedAt": "t", "expiresAt": "t", "itemVersion": 3, "outcome": "Issued",
        });
        let record = intent(json!({ "spec": { "digest": "d", "links": [link] } }));
        let expected = json!({ "spec": { "digest": "d", "links": [{ "sequence": 1, "intentAt": "t", "latestEnd": "t" }] } });
        assert_eq!(record, expected);
    }
}
