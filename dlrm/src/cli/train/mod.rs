//! `dlrm train`: the main job.

mod args;
mod summary;

use dlrm::data::Numbering;
use dlrm::tensorboard::EventFile;
use dlrm::train::train;
use ttcore::Reference;
use ttcore_cpu::{Cpu, Threads};

use super::backend::BackendArg;
use super::console::Console;
use super::interrupt::Interrupt;
use super::log::Log;
use super::{data, report};

pub(super) use args::Args;

pub(super) fn run(args: &Args) -> super::Result {
    let (settings, options) = (args.settings()?, args.options());
    settings.check()?;
    let log = args.log.as_deref().map(Log::open).transpose()?;
    let tensorboard = args.tensorboard.as_deref().map(EventFile::create).transpose()?;
    let pool = args.backend.pool()?;
    let numbering = if settings.needs_popularity() { Numbering::Popularity } else { Numbering::Appearance };
    let data = pool
        .install(|| data::read_or_make((args.data.as_ref(), args.schema.as_ref()), args.lines, args.seed, numbering))?;
    drop(pool);

    let mut console = Console::new(Interrupt::catch()?, log).with_tensorboard(tensorboard);
    let outcome = match args.backend.backend {
        BackendArg::Cpu => {
            let mut queue = Threads::new(args.backend.threads())?;
            let (backend, threads) = (Cpu::<f32>::new()?, queue.clone());
            // From one of the threads: no operation has to hand its work over first.
            threads.install(|| train(backend, &mut queue, &data, &settings, &options, &mut console))
        }
        BackendArg::Reference => train(Reference::<f32>::new(), &mut (), &data, &settings, &options, &mut console),
        #[cfg(feature = "cuda")]
        BackendArg::Cuda => {
            let (backend, mut queue) = super::backend::cuda(args.backend.threads())?;
            train(backend, &mut queue, &data, &settings, &options, &mut console)
        }
    };
    console.finish();
    let outcome = outcome?;
    if args.json {
        report::json(&outcome)?
    } else {
        summary::print(&outcome)?
    }
    Ok(())
}
