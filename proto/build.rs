//! Compiles the `.proto` files without needing `protoc`.

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
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
