//! `GET /v1/data-inventory`: every field this API exchanges, made from its own description (S5).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::inventory::{ROWS, Row};
use super::openapi;
use crate::problem::ProblemDetails;

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
    /// How long.
    retention: String,
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

/// The row of a field: its own, or the one for that field of every schema.
fn row_of(field: &str) -> Option<&'static Row> {
    let any = field.split_once('.').map(|(_, name)| format!("*.{name}"));
    let exact = ROWS.iter().find(|row| row.field == field);
    exact.or_else(|| ROWS.iter().find(|row| Some(row.field) == any.as_deref()))
}

static INVENTORY: LazyLock<DataInventory> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    let fields = described(&document).into_iter().map(|(field, description)| {
        let row = row_of(&field);
        let tell = |part: fn(&Row) -> &'static str| row.map_or("not yet described", part).to_owned();
        FieldView {
            description,
            stored: tell(|row| row.stored),
            purpose: tell(|row| row.purpose),
            retention: tell(|row| row.retention),
            field,
        }
    });
    DataInventory { fields: fields.collect() }
});

// === handler ===

/// Every field this API exchanges, with where it is kept, what for, and how long.
#[utoipa::path(get, path = "/v1/data-inventory", operation_id = "data_inventory", tag = "about",
    responses((status = 200, description = "The inventory", body = DataInventory),
        (status = "default", description = "Problem", body = ProblemDetails, content_type = "application/problem+json")))]
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
        let document = serde_json::to_value(openapi::document()).unwrap();
        let fields = described(&document);
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
        let document = serde_json::to_value(openapi::document()).unwrap();
        let silent: Vec<String> =
            described(&document).into_iter().filter(|(_, text)| text.is_empty()).map(|(field, _)| field).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[tokio::test]
    async fn it_is_served() {
        let answer = Api::new().await.get("/v1/data-inventory", as_nobody()).await;
        assert!(answer.json["fields"].as_array().unwrap().len() > 100);
    }
}
