"""Changes to an HDF5 file behind the back of its writer."""

import h5py

from skysift.storage.seal import SEAL_BYTES, add_seal

__all__ = ["edit"]


def edit(change, is_sealed=True):
    """Return a fault that changes an open file, and seals it again as its writer would have."""

    def fault(path):
        path.write_bytes(path.read_bytes()[:-SEAL_BYTES])
        with h5py.File(path, "r+") as file:
            change(file)
        if is_sealed:
            add_seal(path)

    return fault
