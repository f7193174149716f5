//! What the plan of a loan does, by tables that read as its specification, and what people read of it, by snapshots.

mod plan {
    #![allow(dead_code, reason = "each test binary uses its part of what is shared")]

    pub mod bounds;
    pub mod deciders;
    pub mod executor;
    #[path = "../support/spellings.rs"]
    pub mod spellings;
    pub mod world;

    mod approving;
    mod choosing;
    mod counting;
    mod denials;
    mod endings;
    mod history;
    mod late;
    mod lookup;
    mod people;
    mod requests;
    mod schedule;
    mod shares;
    mod statuses;
    mod terms;
    mod typing;
    mod vetting;
    mod waiting;
}
