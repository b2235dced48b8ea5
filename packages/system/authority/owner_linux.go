package authority

import (
	"io/fs"
	"syscall"
)

func ownedBy(st fs.FileInfo, uid, gid int) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid && int(s.Gid) == gid
}
