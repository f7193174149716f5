//! Field selectors, with which the API server chooses the objects of a list.

/// Selects objects whose field has this value. An absent field has the empty value.
pub fn equals(field: &str, value: &str) -> String {
    format!("{field}={}", escaped(value))
}

/// Selects objects whose field has another value.
pub fn differs(field: &str, value: &str) -> String {
    format!("{field}!={}", escaped(value))
}

/// Escapes a value like `EscapeValue` of Kubernetes' `fields` package.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
