//! Whether JSON would lose something of a value.
//!
//! Owns the refusal alone: a serializer that writes nothing, and finds what serde_json would write
//! as `null` although it means more. What serde_json refuses itself, such as keys that are not
//! text, is left to it.

use std::fmt::{self, Display};

use serde::ser::{self, Serialize, Serializer};

/// Refuses a value of which JSON would lose something.
///
/// # Errors
/// What would be lost, and where in the value it stands.
pub(crate) fn check(value: &impl Serialize) -> Result<(), Lost> {
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

/// Gives whether the value is written as `null`.
struct Check;

/// The elements of something that holds several.
struct Elements(usize);

macro_rules! never_null {
    ($($method:ident: $ty:ty),*) => {
        $(fn $method(self, _: $ty) -> Result<bool, Lost> { Ok(false) })*
    };
}

fn finite(value: f64) -> Result<bool, Lost> {
    match value.is_finite() {
        true => Ok(false),
        false => Err(ser::Error::custom(format!("JSON has no number {value}"))),
    }
}

impl Serializer for Check {
    type Ok = bool;
    type Error = Lost;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Elements;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    never_null!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8]
    );

    fn serialize_f32(self, value: f32) -> Result<bool, Lost> {
        finite(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<bool, Lost> {
        finite(value)
    }

    fn serialize_none(self) -> Result<bool, Lost> {
        Ok(true)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Lost> {
        match value.serialize(Check)? {
            false => Ok(false),
            true => Err(ser::Error::custom(format!(
                "JSON can't tell a `Some` of `{}` that is `null` from `None`",
                std::any::type_name::<T>()
            ))),
        }
    }

    fn serialize_unit(self) -> Result<bool, Lost> {
        Ok(true)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<bool, Lost> {
        Ok(true)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<bool, Lost> {
        Ok(false)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<bool, Lost> {
        value.serialize(Check)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<bool, Lost> {
        let inner = value.serialize(Check);
        inner
            .map(|_| false)
            .map_err(|lost| lost.under(|| format!(".{variant}")))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Elements, Lost> {
        Ok(Elements(0))
    }
}

impl Elements {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
        let index = self.0;
        self.0 += 1;
        match value.serialize(Check) {
            Ok(_) => Ok(()),
            Err(lost) => Err(lost.under(|| format!("[{index}]"))),
        }
    }

    fn named<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<(), Lost> {
        let inner = value.serialize(Check);
        inner
            .map(drop)
            .map_err(|lost| lost.under(|| format!(".{name}")))
    }
}

macro_rules! elements {
    ($($of:ident: $method:ident),*) => {
        $(impl ser::$of for Elements {
            type Ok = bool;
            type Error = Lost;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
                self.next(value)
            }
            fn end(self) -> Result<bool, Lost> { Ok(false) }
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
            type Ok = bool;
            type Error = Lost;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Lost> {
                Elements::named(name, value)
            }
            fn end(self) -> Result<bool, Lost> { Ok(false) }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Elements {
    type Ok = bool;
    type Error = Lost;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Lost> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Lost> {
        self.next(value)
    }

    fn end(self) -> Result<bool, Lost> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Value {
        Unit,
        Nothing(()),
        Inner(Option<Option<u8>>),
        Float { of: Option<f64> },
        Pair(Option<()>, f32),
        Bytes(Vec<u8>),
        List(Vec<Option<bool>>),
    }

    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY)]
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Unit),
            Just(Value::Nothing(())),
            any::<Option<Option<u8>>>().prop_map(Value::Inner),
            proptest::option::of(floats()).prop_map(|of| Value::Float { of }),
            (any::<Option<()>>(), any::<f32>()).prop_map(|(a, b)| Value::Pair(a, b)),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            any::<Vec<Option<bool>>>().prop_map(Value::List),
        ]
    }

    proptest! {
        #[test]
        fn what_is_not_refused_comes_back_equal(values in proptest::collection::vec(values(), 0..4)) {
            if check(&values).is_ok() {
                let json = serde_json::to_string(&values).unwrap();
                let back: Vec<Value> = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(back, values);
            }
        }
    }

    #[test]
    fn what_would_be_lost_is_named_with_its_place() {
        let lost = |value: &dyn Fn() -> Result<(), Lost>| value().unwrap_err().to_string();
        assert_eq!(
            lost(&|| check(&Some(()))),
            "JSON can't tell a `Some` of `()` that is `null` from `None`"
        );
        assert_eq!(
            lost(&|| check(&vec![Value::Unit, Value::Float { of: Some(f64::NAN) }])),
            "JSON has no number NaN (at [1].of)"
        );
        assert!(check(&Some(3)).is_ok());
        assert!(check(&None::<Option<u8>>).is_ok());
    }
}
