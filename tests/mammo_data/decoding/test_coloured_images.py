"""Films are grey, in however many channels; a photograph in colours is none."""

import cv2
import numpy as np
import pytest

from mammo_data import DataError, decode_grey

FILM = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_three_equal_channels_are_a_film_and_three_others_are_none(suffix):
    grey = cv2.imencode(suffix, np.dstack([FILM] * 3))[1].tobytes()
    assert np.abs(decode_grey(grey, "film").astype(int) - FILM).max() <= 3
    coloured = cv2.imencode(suffix, np.dstack([FILM, 99 - FILM, FILM // 2]))[1].tobytes()
    with pytest.raises(DataError, match="a grey image; found colours in film"):
        decode_grey(coloured, "film")


def test_sixteen_bits_in_colours_are_refused_as_well():
    wide = FILM.astype(np.uint16) * 600
    with pytest.raises(DataError, match="colours"):
        decode_grey(cv2.imencode(".png", np.dstack([wide, wide // 2, wide // 4]))[1].tobytes(), "film")
