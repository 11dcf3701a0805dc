//! Figures as pictures: a level, a delay by stages, a minute of history.

use egui::{Align2, Color32, Rect, Response, Sense, Stroke, Ui, WidgetInfo, WidgetType, lerp, pos2, vec2};

use crate::ui::theme;

/// The colours of the stages, in their order: told apart by brightness as well as by hue, with lines between.
const STAGES: [Color32; 6] = [
    Color32::from_rgb(0x8E, 0x8B, 0xFF),
    Color32::from_rgb(0x4F, 0xB6, 0xE8),
    Color32::from_rgb(0xF2, 0xC1, 0x4E),
    Color32::from_rgb(0xF0, 0x8A, 0x5D),
    Color32::from_rgb(0x58, 0xC9, 0x9B),
    Color32::from_rgb(0xD8, 0x86, 0xD8),
];

/// The colour of a stage.
pub fn stage_color(stage: usize) -> Color32 {
    STAGES[stage % STAGES.len()]
}

/// How loud it is, `level` from 0 (silence) to 1 (full scale), as a row of lamps.
pub fn level_meter(ui: &mut Ui, label: &str, level: f32) -> Response {
    const LAMPS: u8 = 24;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 10.0), Sense::hover());
    let level = level.clamp(0.0, 1.0);
    response.widget_info(|| WidgetInfo {
        value: Some(f64::from((level * 100.0).round())),
        ..WidgetInfo::labeled(WidgetType::ProgressIndicator, true, label)
    });
    let palette = theme::palette(ui.style());
    // Half of what is heard as loudness lies in the uppermost twentieth of the scale: shown by its root.
    let lit = level.sqrt();
    for lamp in 0..LAMPS {
        let share = f32::from(lamp) / f32::from(LAMPS);
        let left = lerp(rect.x_range(), share);
        let right = lerp(rect.x_range(), (f32::from(lamp) + 1.0) / f32::from(LAMPS)) - 3.0;
        let color = match share {
            _ if share >= lit => palette.field,
            0.0..0.75 => palette.good,
            0.75..0.92 => palette.fair,
            _ => palette.poor,
        };
        ui.painter().rect_filled(Rect::from_x_y_ranges(left..=right, rect.y_range()), 2, color);
    }
    response
}

/// A delay as one bar by its stages: `stages` are names and milliseconds in their order.
pub fn stage_bar(ui: &mut Ui, stages: &[(&str, f64)]) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::hover());
    let in_words = || stages.iter().map(|(name, ms)| format!("{name} {ms:.0} ms")).collect::<Vec<_>>().join(", ");
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, format!("Delay by stage: {}", in_words())));
    let sum: f64 = stages.iter().map(|(_, ms)| ms.max(0.0)).sum();
    ui.painter().rect_filled(rect, 5, theme::palette(ui.style()).field);
    let mut left = rect.left();
    for (index, (_, ms)) in stages.iter().enumerate() {
        let width = if sum > 0.0 { (ms.max(0.0) / sum) as f32 * rect.width() } else { 0.0 };
        let part = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        left += width;
        if width >= 1.0 {
            let gap = if width > 4.0 { 1.0 } else { 0.0 };
            ui.painter().rect_filled(part.shrink2(vec2(gap, 0.0)), 3, stage_color(index));
        }
    }
    response.on_hover_text(in_words())
}

/// A minute of one figure: a line over time, with its newest value in words. Gaps are values that are not known.
pub fn plot(
    ui: &mut Ui,
    title: &str,
    now: &str,
    values: &[Option<f32>],
    capacity: usize,
    least_top: f32,
) -> Response {
    let size = vec2(ui.available_width(), 52.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Image, true, format!("{title}: {now}, the last minute")));
    let palette = theme::palette(ui.style());
    let painter = ui.painter();
    let small = theme::regular(theme::SMALL);
    painter.text(rect.left_top(), Align2::LEFT_TOP, title, small.clone(), palette.weak);
    painter.text(rect.right_top(), Align2::RIGHT_TOP, now, small, palette.text);
    let field = Rect::from_min_max(rect.min + vec2(0.0, 19.0), rect.max);
    painter.rect_filled(field, 6, palette.field.gamma_multiply(0.7));
    let top = values.iter().flatten().copied().fold(least_top, f32::max) * 1.1;
    let inner = field.shrink2(vec2(4.0, 4.0));
    let step = inner.width() / (capacity.max(2) - 1) as f32;
    let at = |index: usize, value: f32| {
        let back = (values.len() - 1 - index) as f32;
        pos2(inner.right() - back * step, lerp(inner.bottom()..=inner.top(), (value / top).clamp(0.0, 1.0)))
    };
    let mut run = Vec::new();
    let flush = |run: &mut Vec<egui::Pos2>| match run.as_slice() {
        [] => {}
        [only] => {
            painter.circle_filled(*only, 1.5, palette.accent_text);
            run.clear();
        }
        _ => {
            painter.line(std::mem::take(run), Stroke::new(1.6, palette.accent_text));
        }
    };
    for (index, value) in values.iter().enumerate() {
        match value {
            Some(value) => run.push(at(index, *value)),
            None => flush(&mut run),
        }
    }
    flush(&mut run);
    response
}
