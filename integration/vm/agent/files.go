package main

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"path/filepath"
	"syscall"
)

// file is one of a tree's.
type file struct {
	Path string
	// Size is in bytes, Changed when its content was, in nanoseconds; Inode tells one from its successor.
	Size, Changed int64
	Inode         uint64
}

// listFiles answers with all files below a folder.
func listFiles(w http.ResponseWriter, r *http.Request) {
	var list []file
	err := filepath.WalkDir(r.FormValue("path"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		list = append(list, file{Path: path, Size: info.Size(), Changed: info.ModTime().UnixNano(), Inode: inode(info)})
		return nil
	})
	if err != nil {
		answer(w, err)
		return
	}
	answer(w, json.NewEncoder(w).Encode(list))
}

func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
