//! Tests of several real processes on a lonet network.
