//! The two charts: what they render, and what becomes of a cluster that they are installed in by the real helm.

mod allowed;
mod away;
mod existing;
mod granted;
mod installed;
mod label_policy;
mod lifecycle;
mod monitoring;
mod pod_security;
mod rendering;
mod rights;
mod schemas;
mod stolen;
mod whole_run;
