//! DLRM, the deep learning recommendation model, with tensor-train compressed embedding tables.
//!
//! The model is the reference one (`facebookresearch/dlrm`), number for number; its largest tables may be held as tensor
//! trains, which makes the Criteo Kaggle model 117 times smaller at rank 32.
//!
//! | module | what is in it |
//! |---|---|
//! | [`data`] | Criteo's lines, or synthetic ones, to indexed samples, split into train, test and validation |
//! | [`model`] | the model: MLPs, interaction, loss, with tables on any [`ttcore::Backend`] |
//! | [`train`] | the loop, evaluation and the summary |
//! | [`frequency`] | how well a model predicts where its rows are rare |
//! | [`checkpoint`] | the state of a run in a file, to go on from bit for bit |
//! | [`predict`](mod@predict) | a trained model on lines it has never seen |
//! | [`metrics`] | accuracy, log loss, AUC |
//! | [`presets`] | table sizes and layers of the Kaggle, Terabyte and MLPerf models |
//! | [`budget`] | so many bytes for some tables: tensor trains, and what they have to be better than |
//! | [`memory`] | which tables are compressed, and what that saves |
//! | [`paper`] | the paper's figures and tables by one command, and tensor trains beside simpler methods |
//! | [`plot`] | charts as SVG |
//! | [`tensorboard`] | event files that TensorBoard reads |
//! | [`bench`](mod@bench) | what lookups cost, a tensor train beside a dense table and the machine; what an iteration costs |
//!
//! | feature | default | |
//! |---|---|---|
//! | `cuda` | no | the whole model on an NVIDIA GPU; building needs a `libcuda.so` to link: see `ttcore-cuda` |
//! | `emulator` | no | the GPU's kernels on the host, for tests; building needs a C++ compiler |

#![deny(unsafe_code)]

pub mod bench;
pub mod budget;
pub mod checkpoint;
pub mod data;
pub mod frequency;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod paper;
pub mod plot;
pub mod predict;
pub mod presets;
pub mod tensorboard;
pub mod train;
