//! Errors, as objects that C can ask.

use std::ffi::{CString, c_char};

use ttcore::{BagsError, Error, ShapeError};

/// A pointer that must not be is NULL.
pub const TTC_NULL: u32 = 1;
/// A struct begins with a size that is not one of its sizes, or uses fields that this library does not know. The value is
/// the size.
pub const TTC_STRUCT_SIZE: u32 = 2;
/// An enumeration has no such value. The value is the number.
pub const TTC_ENUM: u32 = 3;
/// Numbers are of another type than the session's. The value is the type given.
pub const TTC_DTYPE: u32 = 4;
/// A pointer is not a multiple of the size of what it points at. The value is the address.
pub const TTC_ALIGNMENT: u32 = 5;
/// Memory that a call writes overlaps other memory of the call.
pub const TTC_OVERLAP: u32 = 6;
/// A buffer has a wrong length. The value is the length given.
pub const TTC_LENGTH: u32 = 7;
/// A row number is not a row of the table. Position and value say which.
pub const TTC_INDEX: u32 = 8;
/// Offsets that do not begin, rise or end as they must. Position and value say where.
pub const TTC_OFFSET: u32 = 9;
/// Factors, ranks or sizes that are no shape.
pub const TTC_SHAPE: u32 = 10;
/// A number that a table is configured with does not make sense: `ttc_error_number`.
pub const TTC_SETTING: u32 = 11;
/// Another number of tables than the session has, no such table, or another table. The value is the number given.
pub const TTC_TABLES: u32 = 12;
/// Columns of the output overlap or leave the row. The value is the column.
pub const TTC_COLUMNS: u32 = 13;
/// A batch is larger than the session has room for, or its tables differ in bags. The value is the size given.
pub const TTC_CAPACITY: u32 = 14;
/// Something would not fit in the address space.
pub const TTC_TOO_LARGE: u32 = 15;
/// A backward or step without a forward that it could go on from.
pub const TTC_STALE: u32 = 16;
/// The state of a cache does not fit it.
pub const TTC_CACHE: u32 = 17;
/// A worker or batch of another session.
pub const TTC_OTHER_SESSION: u32 = 18;
/// A handle is in use in another call that excludes this one.
pub const TTC_BUSY: u32 = 19;
/// The session was freed.
pub const TTC_CLOSED: u32 = 20;
/// A call panicked while it had this handle: free it.
pub const TTC_POISONED: u32 = 21;
/// A bug in this library, which was caught. The message says where; the handles of the call are poisoned.
pub const TTC_PANIC: u32 = 22;
/// The system, or the environment of the process, does not give what is needed: threads, an instruction set.
pub const TTC_SYSTEM: u32 = 23;
/// An error of a kind that has no code yet.
pub const TTC_UNKNOWN: u32 = 24;

/// Why a call failed: what, of which table, where and with which value, and in words. Freed by `ttc_error_free`. Nothing
/// changes in one: any threads may ask it.
#[derive(Debug)]
pub struct ttc_error {
    code: u32,
    message: CString,
    table: Option<usize>,
    position: Option<usize>,
    value: Option<i64>,
    number: Option<f64>,
}

/// What calls return inside.
pub(crate) type Outcome<T = ()> = Result<T, Box<ttc_error>>;

impl ttc_error {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Box<Self> {
        // What is printed may hold anything, a zero too.
        let message = message.into().replace('\0', "?");
        let message = CString::new(message).unwrap_or_default();
        Box::new(Self { code, message, table: None, position: None, value: None, number: None })
    }

    pub(crate) fn of_table(mut self: Box<Self>, table: usize) -> Box<Self> {
        self.table = Some(table);
        self
    }

    pub(crate) fn at(mut self: Box<Self>, position: usize) -> Box<Self> {
        self.position = Some(position);
        self
    }

    /// With a value; the nearest that fits.
    pub(crate) fn value(mut self: Box<Self>, value: impl TryInto<i128>) -> Box<Self> {
        let value = value.try_into().unwrap_or(i128::MAX);
        self.value = Some(value.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        self
    }

    pub(crate) fn number(mut self: Box<Self>, number: f64) -> Box<Self> {
        self.number = Some(number);
        self
    }
}

impl From<Error> for Box<ttc_error> {
    fn from(error: Error) -> Self {
        let new = |code| ttc_error::new(code, error.to_string());
        match error {
            Error::Shape(ref shape) => of_shape(shape, new(TTC_SHAPE)),
            Error::Bags { table, error: bags } => {
                let error = of_bags(bags, &error.to_string());
                match table {
                    Some(table) => error.of_table(table),
                    None => error,
                }
            }
            Error::NoTables => new(TTC_TABLES).value(0),
            Error::TableCount { got, .. } => new(TTC_TABLES).value(got),
            Error::NoFeatures { table } => new(TTC_TABLES).of_table(table),
            Error::NoTable { table, .. } => new(TTC_TABLES).value(table),
            Error::OtherTable { table } => new(TTC_TABLES).of_table(table),
            Error::Columns { table, column, .. } => new(TTC_COLUMNS).of_table(table).value(column),
            Error::TooLarge { .. } => new(TTC_TOO_LARGE),
            Error::Length { table: Some(table), got, .. } => new(TTC_LENGTH).of_table(table).value(got),
            Error::Length { table: None, got, .. } => new(TTC_LENGTH).value(got),
            Error::Capacity { table, got, .. }
            | Error::BagCount { table, got, .. }
            | Error::UnevenBags { table, got, .. } => new(TTC_CAPACITY).of_table(table).value(got),
            Error::Rows { table, got, .. } => new(TTC_TABLES).of_table(table).value(got),
            Error::Row { table, position, row, .. } => new(TTC_INDEX).of_table(table).at(position).value(row),
            Error::Stale { .. } => new(TTC_STALE),
            Error::OtherPlan { .. } => new(TTC_OTHER_SESSION),
            Error::Setting { table, value, .. } => new(TTC_SETTING).of_table(table).number(value),
            Error::CacheState { .. } => new(TTC_CACHE),
            _ => new(TTC_UNKNOWN),
        }
    }
}

impl From<ShapeError> for Box<ttc_error> {
    fn from(error: ShapeError) -> Self {
        Error::from(error).into()
    }
}

fn of_shape(shape: &ShapeError, error: Box<ttc_error>) -> Box<ttc_error> {
    match *shape {
        ShapeError::Zero { position, .. } => error.at(position).value(0),
        ShapeError::OuterRank { position, rank } => error.at(position).value(rank),
        ShapeError::TooFewCores { cores } | ShapeError::TooManyCores { cores } => error.value(cores),
        ShapeError::TooFewRows { product, .. } => error.value(product),
        _ => error,
    }
}

fn of_bags(bags: BagsError, message: &str) -> Box<ttc_error> {
    let new = |code| ttc_error::new(code, message);
    match bags {
        BagsError::IndexOutOfRange { position, index, .. } => new(TTC_INDEX).at(position).value(index),
        BagsError::NegativeOffset { offset } | BagsError::FirstOffset { offset } => new(TTC_OFFSET).at(0).value(offset),
        BagsError::OffsetDecreases { position, offset, .. }
        | BagsError::OffsetOutOfRange { position, offset, .. }
        | BagsError::LastOffset { position, offset, .. } => new(TTC_OFFSET).at(position).value(offset),
        BagsError::LookupsWithoutBag { lookups } => new(TTC_OFFSET).value(lookups),
        BagsError::WeightsLength { weights, .. } => new(TTC_LENGTH).value(weights),
        _ => new(TTC_OFFSET),
    }
}

/// What kind of error it is, `TTC_NULL` .. `TTC_UNKNOWN`; 0 for NULL, which is success.
///
/// # Safety
///
/// NULL, or an error that was not freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_code(error: *const ttc_error) -> u32 {
    // SAFETY: the caller's, as said above.
    unsafe { error.as_ref() }.map_or(0, |error| error.code)
}

/// The error in words, English, in UTF-8, as long as the error is there; an empty text for NULL.
///
/// # Safety
///
/// NULL, or an error that was not freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_message(error: *const ttc_error) -> *const c_char {
    // SAFETY: the caller's, as said above.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
}

/// Of which table, from 0; -1 if it is of none.
///
/// # Safety
///
/// NULL, or an error that was not freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_table(error: *const ttc_error) -> i64 {
    // SAFETY: the caller's, as said above.
    unsafe { error.as_ref() }.and_then(|error| error.table).map_or(-1, |table| table as i64)
}

/// Where in a list, from 0; -1 if it is nowhere in one.
///
/// # Safety
///
/// NULL, or an error that was not freed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_position(error: *const ttc_error) -> i64 {
    // SAFETY: the caller's, as said above.
    unsafe { error.as_ref() }.and_then(|error| error.position).map_or(-1, |position| position as i64)
}

/// The wrong value, if it is an integer: false if not. What does not fit is the nearest number that does.
///
/// # Safety
///
/// NULL, or an error that was not freed; `value` to write to, or NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_value(error: *const ttc_error, value: *mut i64) -> bool {
    // SAFETY: the caller's, as said above.
    let (error, place) = unsafe { (error.as_ref(), value.as_mut()) };
    write(error.and_then(|error| error.value), place)
}

/// The wrong value, if it is a floating point number: false if not.
///
/// # Safety
///
/// NULL, or an error that was not freed; `number` to write to, or NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_number(error: *const ttc_error, number: *mut f64) -> bool {
    // SAFETY: the caller's, as said above.
    let (error, place) = unsafe { (error.as_ref(), number.as_mut()) };
    write(error.and_then(|error| error.number), place)
}

fn write<T>(value: Option<T>, place: Option<&mut T>) -> bool {
    let there = value.is_some();
    if let (Some(value), Some(place)) = (value, place) {
        *place = value;
    }
    there
}

/// Frees an error. NULL is nothing to free.
///
/// # Safety
///
/// NULL, or an error that was not freed, which no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ttc_error_free(error: *mut ttc_error) {
    if !error.is_null() {
        // SAFETY: an error is a box that was given away; the caller gives it back once.
        drop(unsafe { Box::from_raw(error) });
    }
}
