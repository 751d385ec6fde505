"""Files made to harm their reader (row 61): refused before they take memory or time."""

import h5py
import numpy as np
import pytest
from tests.faults.hdf5_edits import edit


def add_external_link(file):
    file["more"] = h5py.ExternalLink("/etc/passwd", "/")


def add_soft_link(file):
    file["more"] = h5py.SoftLink("/exposure")


def add_virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("/etc/secret.h5", "x", shape=(3,))
    file.create_virtual_dataset("more", layout)


def add_external_storage(file):
    file.create_dataset("more", shape=(3,), dtype="u1", external=[("/etc/passwd", 0, 3)])


def add_loop(file):
    file.create_group("more")["again"] = file["/"]


def add_second_name(file):
    file["more"] = file["exposure"]


def add_deep_groups(file):
    file.create_group("more" + "/g" * 40)


def add_unwritten(file):
    file.create_dataset("more", shape=(10**15,), dtype="f8", chunks=(1024,), compression="gzip")


def add_zeros(file):
    file.create_dataset("more", shape=(400_000_000,), dtype="f8", chunks=(1024,), compression="gzip")[:1024] = 0


def add_big_chunk(file):
    file.create_dataset("more", shape=(1,), maxshape=(None,), dtype="f8", chunks=(500_000_000,), compression="gzip")


def add_foreign_filter(file):
    file.create_dataset("more", data=np.arange(3), chunks=(3,), scaleoffset=0)


def add_type(file):
    file["more"] = np.dtype("f8")


def add_references(file):
    file.create_dataset("more", data=np.array([file["exposure"].ref], dtype=h5py.ref_dtype))


def add_compound(file):
    file.create_dataset("more", data=np.zeros(3, dtype=[("a", "f8")]))


def add_array_attribute(file):
    file["exposure"].attrs["more"] = np.zeros(9)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (add_external_link, "ExternalLink to /"),
        (add_soft_link, "SoftLink to /exposure"),
        (add_virtual, "a virtual dataset"),
        (add_external_storage, "/etc/passwd"),
        (add_loop, "two names"),
        (add_second_name, "two names"),
        (add_deep_groups, "groups without end"),
        (add_unwritten, "8000000000000000 bytes"),
        (add_zeros, "3200000000 bytes"),
        (add_big_chunk, "4000000000 bytes"),
        (add_foreign_filter, "filters [6]"),
        (add_type, "a named type"),
        (add_references, "type object"),
        (add_compound, "type [('a', '<f8')]"),
        (add_array_attribute, "an array"),
    ],
)
def test_61_hostile_hdf5(good, refused, frugal, change, found):
    edit(change)(good)
    refused(good, "", found)
