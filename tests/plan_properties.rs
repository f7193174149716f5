//! What holds for the plans of a loan, an integration and a flow, whatever is seen and whatever happens.

mod plan {
    #![allow(dead_code, reason = "each test binary uses its part of what is shared")]

    pub mod arbitrary;
    pub mod bounds;
    pub mod deciders;
    pub mod executor;
    pub mod world;

    mod lives;
    mod properties;
    mod totality;
}
