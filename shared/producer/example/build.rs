//! Makes the types for the events of the tenant `ops`.

fn main() -> Result<(), tidings_producer_build::GenerateError> {
    tidings_producer_build::generate("../../../schemas/ops")
}
