//! Sending values between processes: as JSON, from which a value comes back equal, or not at all.
//!
//! Owns the two ways, and the refusal: a serializer that writes nothing, and finds what serde_json
//! would write as `null` although it means more, and keys that are not text.

mod bytes;
#[cfg(test)]
mod tests;

use std::any::{Any, type_name};
use std::fmt::{self, Display};

use serde::de::DeserializeOwned;
use serde::ser::{self, Serialize, Serializer};

/// Stands before each value of a role: a control character, which JSON has nowhere.
pub(crate) const SEPARATOR: char = '\u{1e}';

/// A value as JSON, in one line.
///
/// A `Vec<u8>` is a text of hexadecimal digits; serde would ask for each byte with a dozen calls,
/// which take half a minute for 50 MB where nothing is optimised.
///
/// # Errors
/// Why it can't be written, and where in the value.
pub(crate) fn write<T: Serialize + 'static>(value: &T) -> Result<String, Lost> {
    let any: &dyn Any = value;
    if let Some(bytes) = any.downcast_ref::<Vec<u8>>() {
        return Ok(bytes::write(bytes));
    }
    check(value)?;
    let json = serde_json::to_string(value).map_err(ser::Error::custom)?;
    // JSON from elsewhere may have it between its words, nowhere else.
    Ok(match json.contains('\n') {
        true => json.replace('\n', " "),
        false => json,
    })
}

/// The value of which [`write`] made that.
///
/// # Errors
/// It is not the JSON of a `T`: what a type writes it must also be able to read.
pub(crate) fn read<T: DeserializeOwned + 'static>(json: &str) -> Result<T, String> {
    let mut value: Option<T> = None;
    let any: &mut dyn Any = &mut value;
    if let Some(bytes) = any.downcast_mut::<Option<Vec<u8>>>() {
        *bytes = bytes::read(json);
        return value.ok_or_else(|| "they are not the digits of bytes".to_owned());
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// Refuses a value of which JSON would lose something.
///
/// # Errors
/// What would be lost, and where in the value it stands.
fn check(value: &impl Serialize) -> Result<(), Lost> {
    value.serialize(Check).map(drop)
}

/// What JSON would lose.
#[derive(Debug)]
pub(crate) struct Lost {
    /// From the value outward.
    path: Vec<String>,
    what: String,
}

impl Lost {
    fn under(mut self, step: impl FnOnce() -> String) -> Lost {
        self.path.push(step());
        self
    }
}

impl Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.path.is_empty() {
            f.write_str(" (at ")?;
            self.path
                .iter()
                .rev()
                .try_for_each(|step| f.write_str(step))?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for Lost {}

impl ser::Error for Lost {
    fn custom<T: Display>(what: T) -> Lost {
        Lost {
            path: Vec::new(),
            what: what.to_string(),
        }
    }
}

/// Writes nothing, and gives what serde_json would write.
struct Check;

/// What a value is in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Null,
    /// What a key may be: a text, or a number or a truth value, which are quoted there.
    Scalar,
    List,
    Object,
}

/// The elements of something that holds several.
struct Elements {
    next: usize,
    /// What holds them.
    written: Written,
    /// The variant of an enum that has them.
    variant: Option<&'static str>,
}

const LIST: Elements = Elements {
    next: 0,
    written: Written::List,
    variant: None,
};
const OBJECT: Elements = Elements {
    next: 0,
    written: Written::Object,
    variant: None,
};

macro_rules! scalars {
    ($($method:ident: $ty:ty),*) => {
        $(fn $method(self, _: $ty) -> Result<Written, Lost> { Ok(Written::Scalar) })*
    };
}

fn finite(value: f64) -> Result<Written, Lost> {
    match value.is_finite() {
        true => Ok(Written::Scalar),
        false => Err(ser::Error::custom(format!("JSON has no number {value}"))),
    }
}

impl Serializer for Check {
    type Ok = Written;
    type Error = Lost;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Elements;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    scalars!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str
    );

    fn serialize_bytes(self, _: &[u8]) -> Result<Written, Lost> {
        Ok(Written::List)
    }

    fn serialize_f32(self, value: f32) -> Result<Written, Lost> {
        finite(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Written, Lost> {
        finite(value)
    }

    fn serialize_none(self) -> Result<Written, Lost> {
        Ok(Written::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Written, Lost> {
        match value.serialize(Check)? {
            Written::Null => Err(ser::Error::custom(format!(
                "JSON can't tell a `Some` of `{}` that is `null` from `None`",
                type_name::<T>()
            ))),
            written => Ok(written),
        }
    }

    fn serialize_unit(self) -> Result<Written, Lost> {
        Ok(Written::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Written, Lost> {
        Ok(Written::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<Written, Lost> {
        Ok(Written::Scalar)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Written, Lost> {
        value.serialize(Check)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Written, Lost> {
        let inner = value.serialize(Check);
        inner
            .map(|_| Written::Object)
            .map_err(|lost| lost.under(|| format!(".{variant}")))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Lost> {
        Ok(LIST)
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements, Lost> {
        Ok(LIST)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Lost> {
        Ok(LIST)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Lost> {
        Ok(Elements {
            variant: Some(variant),
            ..OBJECT
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements, Lost> {
        Ok(OBJECT)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements, Lost> {
        Ok(OBJECT)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Lost> {
        Ok(Elements {
            variant: Some(variant),
            ..OBJECT
        })
    }
}

impl Elements {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
        let index = self.next;
        self.next += 1;
        self.at(value, || format!("[{index}]"))
    }

    fn at<T: Serialize + ?Sized>(
        &self,
        value: &T,
        step: impl FnOnce() -> String,
    ) -> Result<(), Lost> {
        match value.serialize(Check) {
            Ok(_) => Ok(()),
            Err(lost) => Err(match self.variant {
                None => lost.under(step),
                Some(variant) => lost.under(step).under(|| format!(".{variant}")),
            }),
        }
    }
}

macro_rules! elements {
    ($($of:ident: $method:ident),*) => {
        $(impl ser::$of for Elements {
            type Ok = Written;
            type Error = Lost;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
                self.next(value)
            }
            fn end(self) -> Result<Written, Lost> { Ok(self.written) }
        })*
    };
}

elements!(
    SerializeSeq: serialize_element, SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field
);

macro_rules! fields {
    ($($of:ident),*) => {
        $(impl ser::$of for Elements {
            type Ok = Written;
            type Error = Lost;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Lost> {
                self.at(value, || format!(".{name}"))
            }
            fn end(self) -> Result<Written, Lost> { Ok(self.written) }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Elements {
    type Ok = Written;
    type Error = Lost;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Lost> {
        match key.serialize(Check)? {
            Written::Scalar => Ok(()),
            _ => Err(ser::Error::custom(format!(
                "a key must be a string in JSON, and `{}` is not",
                type_name::<T>().trim_start_matches('&')
            ))),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
        self.next(value)
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), Lost> {
        self.serialize_key(key)?;
        self.at(value, || {
            let key = serde_json::to_string(key).unwrap_or_default();
            format!("[{key}]")
        })
    }

    fn end(self) -> Result<Written, Lost> {
        Ok(self.written)
    }
}
