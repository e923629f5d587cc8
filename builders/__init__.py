"""The stages that turn raw releases into shards, and the engines they run on."""
