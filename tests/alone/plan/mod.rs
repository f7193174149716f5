//! The plan of a loan, an integration and a flow: tables that read as its specification, snapshots of what people read of it, and
//! what holds whatever is seen and whatever happens.

mod arbitrary;
mod bounds;
pub mod deciders;
mod executor;
#[path = "../../support/spellings.rs"]
mod spellings;
pub mod world;

mod approving;
mod boundary;
mod choosing;
mod counting;
mod endings;
mod events;
mod history;
mod integrations;
mod late;
mod lives;
mod lookup;
mod notifiers;
mod people;
mod properties;
mod requests;
mod schedule;
mod shares;
mod statuses;
mod terms;
mod timeline;
mod totality;
mod typing;
mod unlent;
mod vetting;
mod waiting;
