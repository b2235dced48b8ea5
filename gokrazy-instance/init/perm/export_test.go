package perm

// DiskOf is FindDisk for a device number.
var DiskOf = diskOf
