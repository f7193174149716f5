//! Items: all overviews of a vault, and one item with its details.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::{item, vault};
use crate::account::{self, Category, Field, FieldKind, Right};
use crate::crypto::SymmetricKey;
use crate::directory::{Item, Vault};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::session::Caller;

/// `GET /api/v1/vault/{vault}/items/overviews`: all of the vault's items at once.
pub async fn overviews(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let state = service.state();
    let vault = vault(&state.directory, &caller, &id, Right::Read)?;
    let items: Result<Vec<Value>, Refusal> = vault
        .items
        .iter()
        .map(|item| listed(item, &vault.key))
        .collect();
    Ok(Json(json!({
        "contentVersion": vault.content_version, "batchComplete": true, "items": items?,
    })))
}

/// `GET /api/v1/vault/{vault}/item/{item}`
pub async fn get(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path((vault_id, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let state = service.state();
    let vault: &Vault = vault(&state.directory, &caller, &vault_id, Right::Read)?;
    let item = item(vault, &id)?;
    let mut shown = listed(item, &vault.key)?;
    shown["encDetails"] = json!(vault.key.seal_json(&details(&item.content))?);
    Ok(Json(
        json!({ "contentVersion": vault.content_version, "item": shown }),
    ))
}

fn listed(item: &Item, key: &SymmetricKey) -> Result<Value, Refusal> {
    let listed = json!({
        "uuid": item.id,
        "templateUuid": item.content.category.template(),
        "trashed": if item.content.archived { "Y" } else { "N" },
        "createdAt": item.created_at,
        "updatedAt": item.updated_at,
        "changerUuid": "",
        "itemVersion": item.version,
        "encryptedBy": key.kid,
        "encOverview": key.seal_json(&overview(&item.content))?,
    });
    Ok(with(
        listed,
        item.content.wire.as_ref().map(|wire| &wire.item),
    ))
}

/// The value with these fields instead of its own.
fn with(mut value: Value, fields: Option<&Map<String, Value>>) -> Value {
    if let (Value::Object(own), Some(fields)) = (&mut value, fields) {
        own.extend(fields.clone());
    }
    value
}

fn overview(item: &account::Item) -> Value {
    let username = item.fields.iter().find(|field| field.id() == "username");
    let urls: Vec<Value> = item
        .urls
        .iter()
        .map(|url| json!({ "l": "", "u": url }))
        .collect();
    let overview = json!({
        "title": item.title,
        "ainfo": username.map_or("", |field| &*field.value),
        "url": item.urls.first().map_or("", |url| &**url),
        "URLs": urls,
        "tags": item.tags,
    });
    with(overview, item.wire.as_ref().map(|wire| &wire.overview))
}

/// A login's username and password are separate and identified by their purpose, and so is the
/// password of a password item. All other fields are in a section, as the apps write them.
fn details(item: &account::Item) -> Value {
    let mut details = json!({ "fields": [], "notesPlain": item.notes, "sections": [] });
    let (mut apart, mut rest) = (Vec::new(), Vec::new());
    for field in &item.fields {
        match (item.category, field.id()) {
            (Category::Login, "username" | "password") => apart.push(designated(field)),
            (Category::Password, "password") => details["password"] = json!(field.value),
            _ => rest.push(in_section(field)),
        }
    }
    details["fields"] = Value::Array(apart);
    if !rest.is_empty() {
        details["sections"] = json!([{ "name": "", "title": "", "fields": rest }]);
    }
    with(details, item.wire.as_ref().map(|wire| &wire.details))
}

fn designated(field: &Field) -> Value {
    let kind = match field.kind {
        FieldKind::Text => "T",
        FieldKind::Concealed => "P",
    };
    let name = field.id();
    json!({ "name": name, "value": field.value, "designation": name, "type": kind })
}

fn in_section(field: &Field) -> Value {
    let kind = match field.kind {
        FieldKind::Text => "string",
        FieldKind::Concealed => "concealed",
    };
    json!({ "n": field.id(), "k": kind, "t": field.label, "v": field.value })
}
