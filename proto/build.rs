//! Compiles the `.proto` files without needing `protoc`.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "attribution/v1/types.proto",
        "attribution/v1/job_service.proto",
        "attribution/v1/worker_service.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    // For reflection, by which tools learn of the calls.
    let folder = std::env::var("OUT_DIR")?;
    std::fs::write(
        format!("{folder}/descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
