//! Captures: which streams are in one, what will be allocated by what was captured, and how they end.

use cuda_sys::{CUresult, CUstream, CUstreamCaptureMode, CUstreamCaptureStatus};
use std::ptr::null_mut;

use crate::cu;
use crate::model::{Bill, Twin};
use crate::world::World;
use crate::{contexts, graphs};

impl World {
    /// Whether what is submitted to the stream goes into a graph; `None` if the driver does not say.
    pub fn is_captured(&self, stream: Twin) -> Option<bool> {
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        let result = cu!(
            self.bare(),
            cuStreamIsCapturing(stream.0[1] as CUstream, &mut status)
        );
        let captured = status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        (result == CUresult::CUDA_SUCCESS).then_some(captured)
    }

    /// Number of the capture that the stream takes part in.
    fn capture_of(&self, stream: Twin) -> Option<u64> {
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        let mut id = 0;
        let (graph, list, count) = (null_mut(), null_mut(), null_mut());
        let stream = stream.0[1] as CUstream;
        let result = cu!(
            self.bare(),
            cuStreamGetCaptureInfo_v2(stream, &mut status, &mut id, graph, list, count)
        );
        let captured = status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        (result == CUresult::CUDA_SUCCESS && captured).then_some(id)
    }

    /// An allocation that takes so much became part of a capture.
    pub fn captured_alloc(&mut self, stream: Twin, device: usize, bytes: u64) {
        if let Some(id) = self.capture_of(stream) {
            self.work
                .captured
                .entry(id)
                .or_default()
                .push((device, bytes));
        }
    }

    /// Ends the captures of one context, or all.
    pub fn end_captures(&mut self, context: Option<usize>) {
        let before = self.current();
        for (twin, owner) in self.work.captures.clone() {
            if context.is_none() || context == Some(owner) {
                // The default streams are those of the current context.
                contexts::make_current(self, self.model.contexts[owner].twin);
                end(self, twin, false);
            }
        }
        if let Some(before) = before {
            contexts::make_current(self, self.model.contexts[before].twin);
        }
    }
}

/// Begins a capture.
pub fn begin(world: &mut World) {
    let (twin, mode) = (world.stream(), world.bytes.one_of(&[2, 2, 2, 2, 1, 0, 3]));
    let answer = world.call(
        || format!("cuStreamBeginCapture_v2({twin:x?}, {mode})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuStreamBeginCapture_v2(twin.0[side] as CUstream, CUstreamCaptureMode(mode))
            )
        },
    );
    if !answer.is_success() {
        return;
    }
    let mut streams = world.work.streams.iter();
    let owner = streams.find(|(it, _)| *it == twin);
    if let Some(owner) = owner.map(|(_, it)| *it).or(world.current()) {
        world.work.captures.push((twin, owner));
    }
}

/// Ends a capture, or tries to end what is none.
pub fn end_some(world: &mut World) {
    let good: Vec<Twin> = world.work.captures.iter().map(|(it, _)| *it).collect();
    let twin = if good.is_empty() || world.bytes.one_in(6) {
        world.stream()
    } else {
        world.pick(&good)
    };
    let null = world.bytes.one_in(12);
    end(world, twin, null);
}

fn end(world: &mut World, twin: Twin, null: bool) {
    let id = world.capture_of(twin);
    let answer = world.call(
        || format!("cuStreamEndCapture({null}, {twin:x?})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut graph = null_mut();
            let place = if null { null_mut() } else { &raw mut graph };
            let result = cu!(cuda, cuStreamEndCapture(twin.0[side] as CUstream, place));
            *made = graph as u64;
            result
        },
    );
    // One that was spoilt is over too.
    if world.is_captured(twin) == Some(false) {
        let current = world.current();
        let is_it =
            |(it, owner): &(Twin, usize)| *it == twin && (it.0[0] > 2 || Some(*owner) == current);
        world.work.captures.retain(|it| !is_it(it));
        let needs = id
            .and_then(|id| world.work.captured.remove(&id))
            .unwrap_or_default();
        if let Some(twin) = answer.made() {
            graphs::captured(world, twin, needs);
        }
    }
}
