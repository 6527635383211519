//! The `cordon` binary: everything is in the library.

use std::process::ExitCode;

use cordon::cli::{self, Environment};

/// musl's own allocator has one lock for all threads: an ingest function then costs more than twice the processor time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cordon: cannot start a runtime: {error}; are threads or file handles used up?");
            return cli::Exit::Failed.into();
        }
    };
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let environment = Environment::of_process();
    let exit = runtime.block_on(cli::run(std::env::args_os(), &environment, &mut out, &mut err));
    // Handlers may still hang in a blocking read; nothing of theirs is lost, because every effect is idempotent.
    runtime.shutdown_background();
    exit.into()
}
