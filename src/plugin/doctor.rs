//! `kubectl keyloan doctor`: a checkup of an installation, for administrators.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota};
use serde_json::json;

use crate::api::{
    AccessFlow, AccessGrant, AccessGrantSpec, AccessNotifier, GROUP, INSTALL_LABEL, Identity,
    OnePasswordIntegration, VERSION,
};
use crate::cluster::person::{CallError, Refused, Scope, ServiceAccount};
use crate::desk::checkup::{
    self, Deployed, Finding, PoliciesSeen, RIGHTS, Shipped, State, Where, fields_of, shown,
};
use crate::manifests::{self, EMAIL_VARIABLES, Releases, USERNAME_VARIABLES};

use super::failure::{Exit, Failure};
use super::output::{Structured, print_value, say};
use super::session::Session;
use super::whoami;

/// A username that belongs to nobody.
const FALSE_NAME: &str = "keyloan:nobody";

/// Check the installation: the cluster, the admission policies, the operator, its rights, the room
/// for links, and the integrations, flows and notifiers. Nothing is changed.
///
/// You need to read all of this; checks of what you may not read say so. The exit code is 1 if a
/// check finds a problem.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let findings = Examination::begin(session).await?.findings().await?;
    match arguments.output {
        Some(format) => print_value(&json!({ "findings": findings }), format)?,
        None => say(shown(&findings))?,
    }
    let problems = findings
        .iter()
        .filter(|found| found.state == State::Problem);
    match problems.count() {
        0 => Ok(Exit::Done),
        1 => Err(Failure::new("1 check found a problem").next(FROM_THE_TOP)),
        many => Err(Failure::new(format!("{many} checks found a problem")).next(FROM_THE_TOP)),
    }
}

const FROM_THE_TOP: &str = "Begin with the first one: it may be the cause of others.";

/// The facts that several checks need.
struct Examination<'a> {
    session: &'a Session,
    shipped: Shipped,
    policies: Result<PoliciesSeen, String>,
    /// The operators that the policies name.
    operators: Vec<String>,
    integrations: Result<Vec<OnePasswordIntegration>, String>,
}

impl<'a> Examination<'a> {
    async fn begin(session: &'a Session) -> Result<Self, Failure> {
        let releases = Releases::known().map_err(|error| Failure::new(error.to_string()))?;
        let shipped = Shipped::new(
            &releases.current,
            &releases.earlier,
            &USERNAME_VARIABLES,
            &EMAIL_VARIABLES,
        );
        let keys: BTreeSet<_> = shipped.keys().cloned().collect();
        let policies = session.person.policies(keys.into_iter().collect()).await;
        let operators = policies
            .as_ref()
            .map(|seen| shipped.listed(seen, USERNAME_VARIABLES[0]));
        Ok(Self {
            session,
            shipped,
            operators: operators.unwrap_or_default(),
            policies: read(policies),
            integrations: read(session.person.list(&Scope::All, "").await),
        })
    }

    async fn findings(&self) -> Result<Vec<Finding>, Failure> {
        let mut found = self.cluster().await?;
        for operator in &self.operators {
            if let Some(account) = ServiceAccount::of(operator) {
                found.extend(self.operator(&account).await);
            }
        }
        let now = self.session.now();
        found.extend(checkup::integrations(as_deref(&self.integrations), now));
        let flows = read(
            self.session
                .person
                .list::<AccessFlow>(&Scope::All, "")
                .await,
        );
        found.extend(checkup::flows(as_deref(&flows)));
        let notifiers = read(
            self.session
                .person
                .list::<AccessNotifier>(&Scope::All, "")
                .await,
        );
        found.extend(checkup::notifiers(as_deref(&notifiers)));
        Ok(found)
    }

    async fn cluster(&self) -> Result<Vec<Finding>, Failure> {
        let person = &self.session.person;
        let version = read(person.server_version().await);
        let ahead = read(person.server_time().await).and_then(|time| {
            let time = time.ok_or("the API server does not say its time")?;
            let ahead = self.session.now().duration_since(time);
            Ok(SignedDuration::from_secs(ahead.as_secs()))
        });
        let crds = manifests::crds().map_err(|error| Failure::new(error.to_string()))?;
        let kinds: Vec<_> = crds.into_iter().map(|(_, crd)| crd).collect();
        let schemas = read(person.schemas(GROUP, VERSION).await);
        let releases = self
            .integrations
            .iter()
            .flatten()
            .filter_map(|integration| integration.status.as_ref()?.operator_version.clone());
        let releases: Vec<_> = releases.collect();
        Ok(vec![
            checkup::kubernetes(as_ref(&version).map(|version| version.kubernetes.as_str())),
            checkup::clock(ahead),
            checkup::releases(env!("CARGO_PKG_VERSION"), &releases),
            checkup::kinds(&fields_of(&kinds), as_ref(&schemas).map(Option::as_ref)),
            checkup::policies(&self.shipped, as_ref(&self.policies), &self.operators),
            self.false_name().await?,
        ])
    }

    /// Tries a request under a false name.
    async fn false_name(&self) -> Result<Finding, Failure> {
        let me = self.session.me().await?;
        let grant = AccessGrant {
            spec: AccessGrantSpec {
                requester: Some(Identity {
                    username: FALSE_NAME.into(),
                    ..me.clone()
                }),
                ..whoami::request(self.session, &me).spec
            },
            ..whoami::request(self.session, &me)
        };
        let namespace = self.session.namespace();
        let tried = self.session.person.try_create(namespace, &grant).await;
        let response = match &tried {
            Ok(grant) => Ok(grant.spec.requester.as_ref()),
            Err(CallError { refused, .. }) => Err::<_, &Refused>(refused),
        };
        Ok(checkup::probe(&me, response))
    }

    async fn operator(&self, account: &ServiceAccount) -> Vec<Finding> {
        let person = &self.session.person;
        let deployments = read(person.deployments(account).await);
        let name = format!("{}:{}", account.namespace, account.name);
        let mut found = vec![checkup::deployment(&name, as_deref(&deployments))];
        let Some(deployed) = deployments.iter().flatten().next() else {
            return found;
        };
        if let Some((namespace, name)) = deployed
            .value("lease")
            .and_then(|lease| lease.split_once('/'))
        {
            let leader = read(person.leader(namespace, name).await);
            let leader = as_ref(&leader).map(Option::as_ref);
            let name = format!("{namespace}/{name}");
            found.push(checkup::leader(&name, leader, self.session.now()));
        }
        found.push(self.rights(account, deployed).await);
        if let Some(links) = deployed.value("links-namespace") {
            found.extend(self.place(links).await);
        }
        found
    }

    async fn rights(&self, account: &ServiceAccount, deployed: &Deployed) -> Finding {
        let mut missing = Vec::new();
        for right in RIGHTS {
            let places: Vec<Option<&str>> = match right.place {
                Where::Cluster => vec![None],
                Where::Own => vec![Some(&account.namespace)],
                Where::Links => deployed
                    .value("links-namespace")
                    .map(Some)
                    .into_iter()
                    .collect(),
                Where::Integrations => deployed
                    .values("integration-namespaces")
                    .map(Some)
                    .collect(),
            };
            for place in places {
                let lacked = self.session.person.lacks(account, right, place).await;
                match lacked {
                    Ok(verbs) if verbs.is_empty() => {}
                    Ok(verbs) => missing.push(format!(
                        "{} {} in {}",
                        verbs.join(", "),
                        right.resource,
                        place.unwrap_or("all namespaces")
                    )),
                    Err(error) => return checkup::rights("", Err(error.message())),
                }
            }
        }
        let name = format!("{}:{}", account.namespace, account.name);
        checkup::rights(&name, Ok(&missing))
    }

    /// The links namespace.
    async fn place(&self, links: &str) -> Vec<Finding> {
        let person = &self.session.person;
        let labels = read(person.labels_of_namespace(links).await);
        let public = Scope::Namespace("kube-public".into());
        let published = read(person.list::<ConfigMap>(&public, "").await).map(|published| {
            let of_installs = published.into_iter().filter(|published| {
                let labels = published.metadata.labels.as_ref();
                labels.is_some_and(|labels| labels.contains_key(INSTALL_LABEL))
            });
            let names =
                of_installs.filter_map(|published| published.data?.remove("linksNamespace"));
            names.collect::<Vec<_>>()
        });
        let exists = as_ref(&labels).map(Option::is_some);
        let scope = Scope::Namespace(links.to_owned());
        let quotas = read(person.list::<ResourceQuota>(&scope, "").await);
        let mut found = vec![
            checkup::links_namespace(links, exists, as_deref(&published)),
            checkup::quotas(links, as_deref(&quotas)),
        ];
        let labels = labels.ok().flatten().unwrap_or_else(BTreeMap::new);
        let webhooks = read(person.webhooks().await);
        found.extend(checkup::webhooks(as_deref(&webhooks), links, &labels));
        found
    }
}

fn read<T>(answer: Result<T, CallError>) -> Result<T, String> {
    answer.map_err(|error| error.message())
}

fn as_ref<T>(read: &Result<T, String>) -> Result<&T, String> {
    read.as_ref().map_err(Clone::clone)
}

fn as_deref<T>(read: &Result<Vec<T>, String>) -> Result<&[T], String> {
    as_ref(read).map(Vec::as_slice)
}
