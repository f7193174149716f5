//! What the API server answers when somebody asks it for something, in JSON, as kubectl would see it.

use std::fmt;
use std::path::Path;

use keyloan_cluster::admission_version;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, Request, Status};
use kube::{Api, Client};
use serde_json::Value;

/// Somebody who talks to the API server under their own name.
#[derive(Clone)]
pub struct Person {
    pub client: Client,
}

/// Why the API server refused.
pub struct Refusal(pub Box<Status>);

impl Person {
    pub async fn create(&self, object: &Value) -> Result<Value, Refusal> {
        self.post(object, &params(false)).await
    }

    pub async fn dry_run(&self, object: &Value) -> Result<Value, Refusal> {
        self.post(object, &params(true)).await
    }

    pub async fn put(&self, object: &Value) -> Result<Value, Refusal> {
        answer(
            self.api(object)
                .replace(name(object), &params(false), &typed(object))
                .await,
        )
    }

    pub async fn dry_run_put(&self, object: &Value) -> Result<Value, Refusal> {
        answer(
            self.api(object)
                .replace(name(object), &params(true), &typed(object))
                .await,
        )
    }

    pub async fn put_status(&self, object: &Value) -> Result<Value, Refusal> {
        answer(
            self.api(object)
                .replace_status(name(object), &params(false), &typed(object))
                .await,
        )
    }

    pub async fn dry_run_status(&self, object: &Value) -> Result<Value, Refusal> {
        answer(
            self.api(object)
                .replace_status(name(object), &params(true), &typed(object))
                .await,
        )
    }

    /// Change some members, as `kubectl patch --type merge` does.
    pub async fn patch(&self, object: &Value, change: &Value) -> Result<Value, Refusal> {
        let change = Patch::Merge(change);
        answer(
            self.api(object)
                .patch(name(object), &PatchParams::default(), &change)
                .await,
        )
    }

    pub async fn patch_status(&self, object: &Value, change: &Value) -> Result<Value, Refusal> {
        let change = Patch::Merge(change);
        answer(
            self.api(object)
                .patch_status(name(object), &PatchParams::default(), &change)
                .await,
        )
    }

    /// `kubectl apply --server-side --force-conflicts`.
    pub async fn apply(&self, object: &Value, manager: &str) -> Result<Value, Refusal> {
        let params = PatchParams::apply(manager).force();
        answer(
            self.api(object)
                .patch(name(object), &params, &Patch::Apply(served(object)))
                .await,
        )
    }

    /// `kubectl apply --server-side --dry-run=server --force-conflicts`.
    pub async fn dry_run_apply(&self, object: &Value) -> Result<Value, Refusal> {
        let params = PatchParams::apply("dry-run").force().dry_run();
        answer(
            self.api(object)
                .patch(name(object), &params, &Patch::Apply(served(object)))
                .await,
        )
    }

    pub async fn get(&self, object: &Value) -> Result<Value, Refusal> {
        answer(self.api(object).get(name(object)).await)
    }

    pub async fn delete(&self, object: &Value) -> Result<(), Refusal> {
        match self
            .api(object)
            .delete(name(object), &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }

    /// Delete all objects of a kind in the namespace of this one, as `kubectl delete --all` may do.
    pub async fn delete_collection(&self, object: &Value) -> Result<(), Refusal> {
        match self
            .api(object)
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }

    /// As it is: our own types could not say everything that somebody may claim.
    async fn post(&self, object: &Value, params: &PostParams) -> Result<Value, Refusal> {
        let request = Request::new(self.api(object).resource_url());
        let request = request
            .create(params, serde_json::to_vec(object).unwrap())
            .unwrap();
        self.client.request(request).await.map_err(refusal)
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let resource = resource(object);
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None if resource.group == "keyloan.dev" => {
                Api::namespaced_with(self.client.clone(), "default", &resource)
            }
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

impl Refusal {
    /// Whether it says these words about this field.
    pub fn names(&self, field: &str, words: &str) -> bool {
        self.causes()
            .any(|(about, message)| about == field && message.contains(words))
    }

    /// Whether an admission policy refused with a message that begins so.
    pub fn is_by(&self, message: &str) -> bool {
        let denied = format!("denied request: {message}");
        self.0.code == 403 && self.0.reason == "Forbidden" && self.0.message.contains(&denied)
    }

    pub fn causes(&self) -> impl Iterator<Item = (&str, &str)> {
        let causes = self.0.details.iter().flat_map(|details| &details.causes);
        causes.map(|cause| {
            // How the API server names the object as a whole.
            let field = if cause.field == "<nil>" {
                ""
            } else {
                cause.field.as_str()
            };
            (field, cause.message.as_str())
        })
    }
}

/// Shortened: some refusals repeat the whole object.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(400).collect::<String>();
        for (field, message) in self.causes() {
            writeln!(f, "{field}: {}", short(message))?;
        }
        f.write_str(&short(&self.0.message))
    }
}

/// All objects in the YAML files of a folder of the project, each with the name of its file.
pub fn yaml_files(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut objects = Vec::new();
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
    {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        objects.extend(documents.into_iter().map(|object| (file.clone(), object)));
    }
    objects
}

/// RFC 7386: null removes, objects merge, everything else replaces.
pub fn merged(mut object: Value, change: &Value) -> Value {
    for (key, change) in change.as_object().unwrap() {
        let members = object.as_object_mut().unwrap();
        if change.is_null() {
            members.remove(key);
        } else if change.is_object() && members.get(key).is_some_and(Value::is_object) {
            let member = members.remove(key).unwrap();
            members.insert(key.clone(), merged(member, change));
        } else {
            members.insert(key.clone(), change.clone());
        }
    }
    object
}

/// The object in the version that the chosen Kubernetes serves.
fn served(object: &Value) -> Value {
    let mut object = object.clone();
    let group = "admissionregistration.k8s.io";
    let is_policy = object["apiVersion"] == format!("{group}/v1");
    if let Some(kind) = object["kind"].as_str().filter(|_| is_policy) {
        object["apiVersion"] = format!("{group}/{}", admission_version(kind)).into();
    }
    object
}

fn resource(object: &Value) -> ApiResource {
    let object = served(object);
    let kind = object["kind"].as_str().unwrap();
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = kind.to_lowercase();
    let plural = match plural.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{plural}s"),
    };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural,
    }
}

fn params(dry_run: bool) -> PostParams {
    PostParams {
        dry_run,
        ..PostParams::default()
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn typed(object: &Value) -> DynamicObject {
    serde_json::from_value(object.clone()).unwrap()
}

fn answer(answer: Result<DynamicObject, kube::Error>) -> Result<Value, Refusal> {
    answer
        .map(|object| serde_json::to_value(object).unwrap())
        .map_err(refusal)
}

fn refusal(error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => Refusal(status),
        other => panic!("the API server could not be asked: {other}"),
    }
}
