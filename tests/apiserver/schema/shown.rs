//! What `kubectl get` shows of the kinds, and what it can select by: enumerated from `crds/`, like the constraints.

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use serde_json::Value;

use crate::support::objects::Person;

/// Asks for what `kubectl get` prints.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Every column of a kind says something of an object in which nothing is left out.
pub async fn each_column_says_something(server: &Person, crd: &Value, full: &Value) {
    let kind = &full["kind"];
    let name = full["metadata"]["name"].as_str().unwrap();
    let url = format!("{}/{name}", api(server, crd, full).resource_url());
    let request = http::Request::get(url).header(http::header::ACCEPT, AS_TABLE);
    let table: Value = server
        .client
        .request(request.body(Vec::new()).unwrap())
        .await
        .unwrap();
    let texts = |values: &Value, of: fn(&Value) -> &Value| -> Vec<String> {
        let values = values.as_array().unwrap().iter();
        values.map(|v| of(v).as_str().unwrap().to_owned()).collect()
    };
    let mut expected = vec!["Name".to_owned()];
    expected.extend(texts(
        &crd["spec"]["versions"][0]["additionalPrinterColumns"],
        |column| &column["name"],
    ));
    let columns = texts(&table["columnDefinitions"], |column| &column["name"]);
    assert_eq!(columns, expected, "{kind}");
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    for (column, cell) in columns.iter().zip(cells) {
        let says = match cell {
            Value::String(text) => !text.is_empty() && !text.starts_with('<'),
            other => !other.is_null(),
        };
        assert!(says, "{kind}: the column {column} shows {cell}");
    }
}

/// Objects can be listed by every field that is said to be selectable; tells how many there are.
pub async fn each_selector_selects(server: &Person, crd: &Value, full: &Value) -> usize {
    let fields = &crd["spec"]["versions"][0]["selectableFields"];
    let fields = fields.as_array().map_or(&[][..], Vec::as_slice);
    for field in fields {
        let path = field["jsonPath"].as_str().unwrap();
        let value = full.pointer(&path.replace('.', "/"));
        let value = value.and_then(Value::as_str);
        let value = value.unwrap_or_else(|| panic!("the full object leaves {path} out"));
        for (wanted, expected) in [(value, 1), ("somebody-else", 0)] {
            let selector = format!("{}={wanted}", path.trim_start_matches('.'));
            let selected = api(server, crd, full)
                .list(&ListParams::default().fields(&selector))
                .await
                .unwrap();
            assert_eq!(selected.items.len(), expected, "{selector}");
        }
    }
    fields.len()
}

fn api(server: &Person, crd: &Value, full: &Value) -> Api<DynamicObject> {
    let (group, names) = (&crd["spec"]["group"], &crd["spec"]["names"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let resource = ApiResource {
        group: text(group),
        version: text(&crd["spec"]["versions"][0]["name"]),
        api_version: text(&full["apiVersion"]),
        kind: text(&names["kind"]),
        plural: text(&names["plural"]),
    };
    let namespace = full["metadata"]["namespace"].as_str().unwrap_or("default");
    Api::namespaced_with(server.client.clone(), namespace, &resource)
}
