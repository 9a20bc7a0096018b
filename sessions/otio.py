"""OpenTimelineIO (``.otio``), which Resolve, Kdenlive and others open.

Times are in frames, with the part of a frame that is left, so that they are exact to the sample
where a program takes them so.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from unstir.journal import write_whole
from unstir.sessions.session import Clip, Color, Session, media_path

# The names OpenTimelineIO has for colors of markers, for the colors of stems.
_MARKER_COLOR = "BLUE"


def write_otio(session: Session, path: Path) -> None:
    """Write an OpenTimelineIO timeline, the original on a track that is switched off.

    The picture of a film lies on a track of its own, without its sound.

    Raises
    ------
    SettingsError
        If a path holds what no project file can.
    """
    from opentimelineio import adapters

    text = adapters.write_to_string(_timeline(session, path.parent), "otio_json")
    write_whole(path, text.encode("utf-8"))


def _timeline(session: Session, folder: Path) -> Any:
    from opentimelineio import opentime, schema

    fps = float(session.fps)
    timeline = schema.Timeline(session.name)
    timeline.global_start_time = opentime.RationalTime(session.start_frame, fps)
    film, (first, n_pictures) = session.film, session.picture_frames
    if film is not None and n_pictures:
        picture = schema.Track(film.name, kind=schema.TrackKind.Video)
        n_frames = round(film.pictures.duration_s * session.fps)
        picture.append(
            schema.Clip(
                name=film.name,
                media_reference=schema.ExternalReference(
                    quote(media_path(film.file, folder)), _range(session, 0, n_frames)
                ),
                source_range=_range(session, first, n_pictures),
            )
        )
        timeline.tracks.append(picture)
    for clip in session.clips:
        track = schema.Track(clip.name, kind=schema.TrackKind.Audio)
        track.enabled = clip is not session.original
        track.metadata["unstir"] = {"color": hex_color(clip.color)}
        track.append(_clip(session, clip, folder))
        timeline.tracks.append(track)
    for marker in session.markers:
        timeline.tracks.markers.append(
            schema.Marker(
                name=marker.name,
                marked_range=opentime.TimeRange(
                    _time(session, marker.sample), opentime.RationalTime(0, fps)
                ),
                color=_MARKER_COLOR,
            )
        )
    return timeline


def _clip(session: Session, clip: Clip, folder: Path) -> Any:
    from opentimelineio import opentime, schema

    length = _time(session, session.n_samples)
    # Media with a time of day begin there; a program that reads it from the file finds the same.
    begin = session.start - clip.first_sample if session.is_stamped else 0
    media = opentime.TimeRange(
        _time(session, begin), _time(session, clip.first_sample + session.n_samples)
    )
    return schema.Clip(
        name=clip.name,
        media_reference=schema.ExternalReference(quote(media_path(clip.file, folder)), media),
        source_range=opentime.TimeRange(_time(session, begin + clip.first_sample), length),
        metadata={
            "unstir": {
                "channels": session.n_channels,
                "sample_rate_hz": session.sample_rate,
                "first_sample": clip.first_sample,
                "samples": session.n_samples,
            }
        },
    )


def _range(session: Session, first: int, n_frames: int) -> Any:
    from opentimelineio import opentime

    fps = float(session.fps)
    return opentime.TimeRange(
        opentime.RationalTime(first, fps), opentime.RationalTime(n_frames, fps)
    )


def _time(session: Session, sample: int) -> Any:
    from opentimelineio import opentime

    return opentime.RationalTime(
        float(sample * session.fps / session.sample_rate), float(session.fps)
    )


def hex_color(color: Color) -> str:
    """Return a color as the web writes it.

    Examples
    --------
    >>> hex_color((255, 128, 0))
    '#ff8000'
    """
    return "#" + "".join(f"{part:02x}" for part in color)
