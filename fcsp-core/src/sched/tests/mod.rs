//! The whole scheduler in virtual time: real producers, real region, real arbiter, and a device and
//! programs that exist only here. What it proves: decisions and accounting. What it does not: any
//! vendor's timing.

mod adaptive;
mod allowance;
mod changes;
mod classes;
mod collectives;
mod credit;
mod crowd;
mod device;
mod fairness;
mod looks;
mod priorities;
mod programs;
mod properties;
mod rest;
mod scenarios;
mod stands;
mod together;
mod world;
