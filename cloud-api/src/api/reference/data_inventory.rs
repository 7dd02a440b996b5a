//! `GET /v1/data-inventory`: every field this API exchanges, made from its own description (S5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::reference::inventory::{self, ROWS, Row};
use crate::api::reference::openapi;
use crate::auth::roles::{Operation, Role};

// === doc ===

/// Every field this API exchanges. Others are refused.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct DataInventory {
    /// In the order of their names.
    fields: Vec<FieldView>,
}

/// A field.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct FieldView {
    /// `Schema.field`, `parameter name` or `body operation`.
    field: String,
    /// What it means.
    description: String,
    /// Where it is kept.
    stored: String,
    /// What for.
    purpose: String,
    /// On what legal basis (Federal Law 152-FZ), where it is personal data.
    legal_basis: String,
    /// How long.
    retention: String,
    /// Which roles get it in an answer; `anyone` with a trusted certificate; nobody where it is only sent.
    seen_by: Vec<String>,
}

/// Name and description of every field in the OpenAPI document.
fn described(document: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        properties(name, schema, &mut fields);
    }
    for path in document["paths"].as_object().into_iter().flatten().map(|(_, path)| path) {
        for operation in path.as_object().into_iter().flatten().map(|(_, operation)| operation) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = format!("parameter {}", text(&parameter["name"]));
                fields.insert(name, text(&parameter["description"]));
            }
            for (media_type, body) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                if body["schema"].get("$ref").is_none() {
                    fields.insert(format!("body {}", text(&operation["operationId"])), media_type.clone());
                }
            }
        }
    }
    fields
}

fn properties(name: &str, schema: &Value, fields: &mut BTreeMap<String, String>) {
    for (field, value) in schema["properties"].as_object().into_iter().flatten() {
        fields.insert(format!("{name}.{field}"), text(&value["description"]));
    }
    for part in ["allOf", "oneOf", "anyOf"] {
        for schema in schema[part].as_array().into_iter().flatten() {
            properties(name, schema, fields);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Which roles get each schema in an answer: from the table of roles and what each operation answers.
fn seen_by(document: &Value) -> BTreeMap<String, Vec<String>> {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let operations = document["paths"].as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object());
    for operation in operations.flatten().map(|(_, operation)| operation) {
        let known = Operation::ALL.iter().find(|known| operation["operationId"] == known.id());
        let roles = known.map_or(vec!["anyone"], |known| known.roles().iter().map(|role| role.name()).collect());
        let mut schemas = BTreeSet::new();
        for (_, response) in operation["responses"].as_object().into_iter().flatten() {
            for (_, content) in response["content"].as_object().into_iter().flatten() {
                reached(document, &content["schema"], &mut schemas);
            }
        }
        for schema in schemas {
            let readers = seen.entry(schema).or_default();
            readers.extend(roles.iter().map(|role| (*role).to_owned()));
        }
    }
    for readers in seen.values_mut() {
        let order = |name: &str| Role::from_name(name).and_then(|role| Role::ALL.iter().position(|one| *one == role));
        readers.sort_by_key(|name| order(name));
        readers.dedup();
        if readers.first().is_some_and(|name| name == "anyone") {
            readers.truncate(1);
        }
    }
    seen
}

/// The names of the schemas that a schema leads to.
fn reached(document: &Value, schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (member, value) in members {
                match value.as_str().filter(|_| member == "$ref").and_then(|path| path.rsplit('/').next()) {
                    Some(name) => {
                        if names.insert(name.to_owned()) {
                            reached(document, &document["components"]["schemas"][name], names);
                        }
                    }
                    None => reached(document, value, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| reached(document, item, names)),
        _ => {}
    }
}

/// The row of a field: its own, or the one for that field of every schema.
fn row_of(field: &str) -> Option<&'static Row> {
    let any = field.split_once('.').map(|(_, name)| format!("*.{name}"));
    let exact = ROWS.iter().find(|row| row.field == field);
    exact.or_else(|| ROWS.iter().find(|row| Some(row.field) == any.as_deref()))
}

/// The inventory as the reference has it.
#[cfg(test)]
pub(in crate::api) fn table() -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for field in &INVENTORY.fields {
        let FieldView { field, description, stored, purpose, legal_basis, retention, seen_by } = field;
        let (description, seen_by) = (description.replace(['\n', '|'], " "), seen_by.join(", "));
        let seen_by = if seen_by.is_empty() { "nobody: it is only sent".to_owned() } else { seen_by };
        let cells = [description.as_str(), stored, purpose, legal_basis, retention, &seen_by].join(" | ");
        let _ = writeln!(text, "| `{field}` | {cells} |");
    }
    text
}

static INVENTORY: LazyLock<DataInventory> = LazyLock::new(|| {
    let seen = seen_by(openapi::document());
    let fields = described(openapi::document()).into_iter().map(|(field, description)| {
        let row = row_of(&field);
        let tell = |part: fn(&Row) -> &'static str| row.map_or("not yet described", part).to_owned();
        FieldView {
            description,
            stored: tell(|row| row.stored),
            purpose: tell(|row| row.purpose),
            legal_basis: inventory::legal_basis(&field).to_owned(),
            retention: tell(|row| row.retention),
            seen_by: seen.get(field.split('.').next().unwrap_or_default()).cloned().unwrap_or_default(),
            field,
        }
    });
    DataInventory { fields: fields.collect() }
});

// === handler ===

/// Every field this API exchanges, with where it is kept, what for, and how long.
#[utoipa::path(get, path = "/v1/data-inventory", operation_id = "data_inventory", tag = "about",
    responses((status = 200, description = "The inventory", body = DataInventory)))]
pub(crate) async fn handle() -> axum::Json<DataInventory> {
    axum::Json(INVENTORY.clone())
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, as_nobody};

    #[test]
    fn every_field_has_a_row_and_every_row_a_field() {
        let fields = described(openapi::document());
        let undescribed: Vec<&String> = fields.keys().filter(|field| row_of(field).is_none()).collect();
        assert!(undescribed.is_empty(), "without a row: {undescribed:?}");
        let unused: Vec<&str> = ROWS
            .iter()
            .filter(|row| !fields.keys().any(|field| row_of(field).is_some_and(|found| found.field == row.field)))
            .map(|row| row.field)
            .collect();
        assert!(unused.is_empty(), "rows of no field: {unused:?}");
    }

    #[test]
    fn every_field_says_what_it_means() {
        let silent: Vec<String> = described(openapi::document())
            .into_iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(field, _)| field)
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[tokio::test]
    async fn it_is_served() {
        let answer = Api::new().await.get("/v1/data-inventory", as_nobody()).await;
        assert!(answer.json["fields"].as_array().unwrap().len() > 100);
    }
}
