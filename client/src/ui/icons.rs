//! Icons as lines, drawn by egui's painter in a square of 24 x 24 units: sharp at any size, no font, no files.

use std::f32::consts::TAU;

use egui::{Color32, Painter, Pos2, Rect, Stroke, StrokeKind, vec2};

/// What can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Icon {
    /// A microphone.
    Microphone,
    /// A microphone, crossed out.
    MicrophoneOff,
    /// A camera.
    Camera,
    /// A camera, crossed out.
    CameraOff,
    /// A handset, lifted.
    Phone,
    /// A handset, put down.
    HangUp,
    /// Four corners, outward.
    FullScreen,
    /// Four corners, inward.
    LeaveFullScreen,
    /// A gear.
    Gear,
    /// Bars of a chart.
    Chart,
    /// A picture between bars.
    Fit,
    /// A picture that covers everything.
    Fill,
    /// A small picture in a large one.
    SelfView,
    /// Sliders: which devices.
    Devices,
    /// Three dots: more.
    More,
    /// A magnifier.
    Search,
    /// An arrow to the left.
    Back,
    /// A cross.
    Close,
    /// A tick.
    Check,
    /// A call from here.
    Outgoing,
    /// A call from there.
    Incoming,
    /// A loudspeaker.
    Speaker,
    /// A bell.
    Bell,
    /// A half-moon: how it looks.
    Look,
    /// A question mark.
    Question,
    /// A triangle: plays.
    Play,
    /// Two sheets: copies.
    Copy,
}

/// Draws `icon` into `rect`.
pub fn paint(painter: &Painter, icon: Icon, rect: Rect, color: Color32) {
    let side = rect.width().min(rect.height());
    let pen = Pen { painter, origin: rect.center() - vec2(side, side) / 2.0, unit: side / 24.0, color, width: 2.0 };
    match icon {
        Icon::Microphone => {
            pen.block(9.0, 2.5, 15.0, 14.0, 3.0);
            pen.stand();
        }
        // What is crossed out is hollow: the bar would not be seen on what is filled.
        Icon::MicrophoneOff => {
            pen.frame(9.2, 3.0, 14.8, 13.8, 2.8);
            pen.stand();
            pen.cross_out();
        }
        Icon::Camera => {
            pen.block(2.5, 6.0, 15.5, 18.0, 3.0);
            pen.polygon(&LENS);
        }
        Icon::CameraOff => {
            pen.frame(3.0, 6.5, 15.5, 17.5, 2.8);
            pen.closed(&LENS);
            pen.cross_out();
        }
        Icon::Phone => pen.handset(-0.375),
        Icon::HangUp => pen.handset(0.0),
        Icon::FullScreen => pen.corners(3.5, 5.0),
        Icon::LeaveFullScreen => pen.corners(9.0, -5.0),
        Icon::Gear => pen.gear(),
        Icon::Chart => {
            for (x, top) in [(5.0, 13.0), (12.0, 5.0), (19.0, 9.0)] {
                pen.thick(2.6).line(&[(x, 19.5), (x, top)]);
            }
        }
        Icon::Fit => {
            pen.frame(3.0, 4.5, 21.0, 19.5, 3.0);
            pen.line(&[(8.0, 9.0), (8.0, 15.0)]);
            pen.line(&[(16.0, 9.0), (16.0, 15.0)]);
        }
        Icon::Fill => {
            pen.frame(3.0, 4.5, 21.0, 19.5, 3.0);
            pen.block(6.5, 8.0, 17.5, 16.0, 1.0);
        }
        Icon::SelfView => {
            pen.frame(3.0, 4.5, 21.0, 19.5, 3.0);
            pen.block(12.0, 11.5, 18.5, 17.0, 1.5);
        }
        Icon::Devices => {
            for (y, knob) in [(5.5, 15.5), (12.0, 8.0), (18.5, 13.5)] {
                pen.line(&[(3.5, y), (20.5, y)]);
                pen.dot(knob, y, 2.8);
            }
        }
        Icon::More => [5.0, 12.0, 19.0].into_iter().for_each(|x| pen.dot(x, 12.0, 1.9)),
        Icon::Search => {
            pen.ring(10.5, 10.5, 6.0);
            pen.line(&[(15.0, 15.0), (20.0, 20.0)]);
        }
        Icon::Back => pen.line(&[(14.5, 5.5), (8.0, 12.0), (14.5, 18.5)]),
        Icon::Close => {
            pen.line(&[(6.0, 6.0), (18.0, 18.0)]);
            pen.line(&[(18.0, 6.0), (6.0, 18.0)]);
        }
        Icon::Check => pen.line(&[(5.0, 12.5), (10.0, 17.5), (19.0, 7.0)]),
        Icon::Outgoing => {
            pen.line(&[(6.0, 18.0), (18.0, 6.0)]);
            pen.line(&[(9.0, 6.0), (18.0, 6.0), (18.0, 15.0)]);
        }
        Icon::Incoming => {
            pen.line(&[(18.0, 6.0), (6.0, 18.0)]);
            pen.line(&[(15.0, 18.0), (6.0, 18.0), (6.0, 9.0)]);
        }
        Icon::Speaker => {
            pen.closed(&[(4.0, 9.5), (7.5, 9.5), (12.0, 5.5), (12.0, 18.5), (7.5, 14.5), (4.0, 14.5)]);
            pen.arc(12.0, 12.0, 4.2, -0.125, 0.125);
            pen.arc(12.0, 12.0, 8.0, -0.125, 0.125);
        }
        Icon::Bell => {
            let mut dome = vec![(4.5, 17.0), (6.5, 14.5), (6.5, 10.0)];
            dome.extend(arc(12.0, 9.5, 5.5, 0.5, 1.0));
            dome.extend([(17.5, 14.5), (19.5, 17.0)]);
            pen.closed(&dome);
            pen.line(&[(10.5, 20.5), (13.5, 20.5)]);
        }
        Icon::Look => {
            pen.ring(12.0, 12.0, 8.5);
            let mut half = arc(12.0, 12.0, 8.5, -0.25, 0.25);
            half.push((12.0, 3.5));
            pen.polygon(&half);
        }
        Icon::Question => {
            let mut hook = arc(12.0, 8.5, 4.0, 0.5, 1.15);
            hook.extend([(12.0, 13.0), (12.0, 14.5)]);
            pen.line(&hook);
            pen.dot(12.0, 19.0, 1.5);
        }
        Icon::Play => pen.polygon(&[(7.5, 5.0), (19.0, 12.0), (7.5, 19.0)]),
        Icon::Copy => {
            pen.frame(8.5, 8.5, 20.0, 20.5, 2.5);
            pen.line(&[(4.5, 15.5), (4.5, 4.5), (15.0, 4.5)]);
        }
    }
}

/// Of a camera.
const LENS: [(f32, f32); 4] = [(17.0, 11.0), (21.5, 7.6), (21.5, 16.4), (17.0, 13.0)];

/// Points of an arc around (`x`, `y`) between two turns (0 points right, 0.25 down).
fn arc(x: f32, y: f32, radius: f32, from: f32, to: f32) -> Vec<(f32, f32)> {
    const POINTS: u8 = 20;
    (0..=POINTS)
        .map(|n| {
            let turn = from + (to - from) * f32::from(n) / f32::from(POINTS);
            let (sin, cos) = (turn * TAU).sin_cos();
            (x + radius * cos, y + radius * sin)
        })
        .collect()
}

/// Draws in units of the icon's square.
#[derive(Clone, Copy)]
struct Pen<'a> {
    painter: &'a Painter,
    origin: Pos2,
    unit: f32,
    color: Color32,
    width: f32,
}

impl Pen<'_> {
    const fn thick(self, width: f32) -> Self {
        Self { width, ..self }
    }

    fn at(&self, (x, y): (f32, f32)) -> Pos2 {
        self.origin + vec2(x, y) * self.unit
    }

    fn stroke(&self) -> Stroke {
        // Thinner than this a line fades away on screens of one pixel a point.
        Stroke::new((self.width * self.unit).max(1.4), self.color)
    }

    fn points(&self, points: &[(f32, f32)]) -> Vec<Pos2> {
        points.iter().map(|&point| self.at(point)).collect()
    }

    /// With round ends.
    fn line(&self, points: &[(f32, f32)]) {
        let stroke = self.stroke();
        self.painter.line(self.points(points), stroke);
        for &end in points.first().into_iter().chain(points.last()) {
            // A disc has softer edges than a line, and looks larger than one of its width.
            let radius = stroke.width / 2.0 - 0.4 / self.painter.pixels_per_point();
            self.painter.circle_filled(self.at(end), radius, self.color);
        }
    }

    fn closed(&self, points: &[(f32, f32)]) {
        self.painter.add(egui::Shape::closed_line(self.points(points), self.stroke()));
    }

    /// Convex.
    fn polygon(&self, points: &[(f32, f32)]) {
        self.painter.add(egui::Shape::convex_polygon(self.points(points), self.color, Stroke::NONE));
    }

    fn arc(&self, x: f32, y: f32, radius: f32, from: f32, to: f32) {
        self.line(&arc(x, y, radius, from, to));
    }

    fn ring(&self, x: f32, y: f32, radius: f32) {
        self.painter.circle_stroke(self.at((x, y)), radius * self.unit, self.stroke());
    }

    fn dot(&self, x: f32, y: f32, radius: f32) {
        self.painter.circle_filled(self.at((x, y)), radius * self.unit, self.color);
    }

    fn rect(&self, left: f32, top: f32, right: f32, bottom: f32) -> Rect {
        Rect::from_min_max(self.at((left, top)), self.at((right, bottom)))
    }

    fn frame(&self, left: f32, top: f32, right: f32, bottom: f32, radius: f32) {
        let rect = self.rect(left, top, right, bottom);
        self.painter.rect_stroke(rect, radius * self.unit, self.stroke(), StrokeKind::Middle);
    }

    fn block(&self, left: f32, top: f32, right: f32, bottom: f32, radius: f32) {
        self.painter.rect_filled(self.rect(left, top, right, bottom), radius * self.unit, self.color);
    }

    /// Of a microphone.
    fn stand(&self) {
        self.arc(12.0, 11.0, 6.5, 0.0, 0.5);
        self.line(&[(12.0, 17.5), (12.0, 21.0)]);
        self.line(&[(9.0, 21.0), (15.0, 21.0)]);
    }

    /// A bar from corner to corner.
    fn cross_out(&self) {
        self.line(&[(3.5, 3.0), (20.5, 21.0)]);
    }

    /// A handset around the square's centre, turned by `turn`.
    fn handset(&self, turn: f32) {
        let (sin, cos) = (turn * TAU).sin_cos();
        let turned = |(x, y): (f32, f32)| {
            let (x, y) = (x - 12.0, y - 12.0);
            (12.0 + x * cos - y * sin, 12.0 + x * sin + y * cos)
        };
        let grip: Vec<_> = arc(12.0, 20.5, 10.6, 0.61, 0.89).into_iter().map(turned).collect();
        self.thick(4.2).line(&grip);
        for ends in [[(4.1, 13.2), (4.5, 15.3)], [(19.9, 13.2), (19.5, 15.3)]] {
            self.thick(5.0).line(&ends.map(turned));
        }
    }

    /// Corners `inset` from the edges whose arms go `arm` towards the centre.
    fn corners(&self, inset: f32, arm: f32) {
        for (x, to_x) in [(inset, arm), (24.0 - inset, -arm)] {
            for (y, to_y) in [(inset, arm), (24.0 - inset, -arm)] {
                self.line(&[(x + to_x, y), (x, y), (x, y + to_y)]);
            }
        }
    }

    fn gear(&self) {
        const TEETH: u8 = 8;
        self.ring(12.0, 12.0, 6.2);
        self.ring(12.0, 12.0, 2.2);
        for tooth in 0..TEETH {
            let (sin, cos) = (f32::from(tooth) / f32::from(TEETH) * TAU).sin_cos();
            let along = |radius: f32| (12.0 + radius * cos, 12.0 + radius * sin);
            self.thick(3.0).line(&[along(7.2), along(8.6)]);
        }
    }
}
