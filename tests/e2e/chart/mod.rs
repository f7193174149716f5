//! The charts: what they render, and what becomes of a cluster that they are installed in by the real helm.

mod allowed;
mod away;
mod checkup;
mod config;
mod egress;
mod existing;
mod granted;
mod guarded;
mod installed;
mod kinds;
mod label_policy;
mod lifecycle;
mod monitoring;
mod mounts;
mod network;
mod pages;
mod pairwise;
mod pod_security;
mod rendering;
mod rights;
mod schemas;
mod stolen;
mod traced;
mod values;
mod whole_run;
