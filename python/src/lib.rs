//! The native module of the Python package `ttcore`: tables as tensor trains on memory of PyTorch.
//!
//! It links neither PyTorch nor anything of C++: tensors come in as Python objects, and what is read of them is an address
//! and a shape. All that is known of tables beside their numbers is in a `Session`; what forward leaves
//! for backward is a `Pass`. The interpreter is released while either computes.
//!
//! ```text
//! tensor.rs    Python object -> address, length, type        exchange.rs   how PyTorch says where a tensor lies
//! numbers.rs   that address where the interpreter is released
//! lists.rs     indices, copied                               input.rs      as batches, validated
//! table.rs     how tables are held                           typed.rs      who may read and write their numbers
//! session.rs   tables on memory that is PyTorch's            pass.rs       one batch between forward and backward
//! pool.rs      threads, also after a fork                    error.rs      errors as Python has them
//! ```

mod error;
mod exchange;
mod input;
mod lists;
mod numbers;
mod pass;
mod pool;
mod session;
mod table;
mod tensor;
mod typed;

/// The native module.
#[pyo3::pymodule]
mod _ttcore {
    #[pymodule_export]
    use crate::pass::Pass;
    #[pymodule_export]
    use crate::pool::{forked, forking};
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::table::{Shape, Table};
    #[pymodule_export]
    use crate::tensor::tensor_type;

    #[pymodule_init]
    fn init() {
        crate::pool::imported();
    }
}
