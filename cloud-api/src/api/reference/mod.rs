//! What the API says of itself: its description, its problems, its data inventory, its signing keys.

pub(super) mod data_inventory;
pub(super) mod docs_page;
pub(super) mod examples;
pub(super) mod inventory;
pub(super) mod openapi;
#[cfg(test)]
mod pages;
pub(super) mod problems;
pub(super) mod signing_keys;
