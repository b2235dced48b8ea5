package drm_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unsafe"

	"porthole/hw/internal/drm"
)

// TestABI compares with what a C compiler makes of the kernel's headers (libdrm 2.4.114, linux 6.12).
func TestABI(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"drm_version", unsafe.Sizeof(drm.Version{}), 64},
		{"drm_get_cap", unsafe.Sizeof(drm.Cap{}), 16},
		{"drm_mode_card_res", unsafe.Sizeof(drm.CardRes{}), 64},
		{"drm_mode_modeinfo", unsafe.Sizeof(drm.ModeInfo{}), 68},
		{"drm_mode_get_encoder", unsafe.Sizeof(drm.GetEncoder{}), 20},
		{"drm_mode_get_connector", unsafe.Sizeof(drm.GetConnector{}), 80},
		{"drm_mode_get_property", unsafe.Sizeof(drm.GetProperty{}), 64},
		{"drm_mode_property_enum", unsafe.Sizeof(drm.PropertyEnum{}), 40},
		{"drm_mode_get_blob", unsafe.Sizeof(drm.GetBlob{}), 16},
		{"drm_mode_create_dumb", unsafe.Sizeof(drm.CreateDumb{}), 32},
		{"drm_mode_map_dumb", unsafe.Sizeof(drm.MapDumb{}), 16},
		{"drm_mode_get_plane_res", unsafe.Sizeof(drm.GetPlaneRes{}), 16},
		{"drm_mode_get_plane", unsafe.Sizeof(drm.GetPlane{}), 32},
		{"drm_mode_fb_cmd2", unsafe.Sizeof(drm.FBCmd2{}), 104},
		{"drm_mode_obj_get_properties", unsafe.Sizeof(drm.ObjGetProperties{}), 32},
		{"drm_mode_atomic", unsafe.Sizeof(drm.Atomic{}), 56},
		{"drm_mode_create_blob", unsafe.Sizeof(drm.CreateBlob{}), 16},
		{"drm_mode_closefb", unsafe.Sizeof(drm.CloseFB{}), 8},
		{"drm_event_vblank", unsafe.Sizeof(drm.Event{}), 32},
		{"DRM_IOCTL_VERSION", drm.IoctlVersion, 0xc0406400},
		{"DRM_IOCTL_GET_CAP", drm.IoctlGetCap, 0xc010640c},
		{"DRM_IOCTL_SET_CLIENT_CAP", drm.IoctlSetClientCap, 0x4010640d},
		{"DRM_IOCTL_SET_MASTER", drm.IoctlSetMaster, 0x641e},
		{"DRM_IOCTL_DROP_MASTER", drm.IoctlDropMaster, 0x641f},
		{"DRM_IOCTL_MODE_GETRESOURCES", drm.IoctlGetResources, 0xc04064a0},
		{"DRM_IOCTL_MODE_GETENCODER", drm.IoctlGetEncoder, 0xc01464a6},
		{"DRM_IOCTL_MODE_GETCONNECTOR", drm.IoctlGetConnector, 0xc05064a7},
		{"DRM_IOCTL_MODE_GETPROPERTY", drm.IoctlGetProperty, 0xc04064aa},
		{"DRM_IOCTL_MODE_GETPROPBLOB", drm.IoctlGetPropBlob, 0xc01064ac},
		{"DRM_IOCTL_MODE_RMFB", drm.IoctlRmFB, 0xc00464af},
		{"DRM_IOCTL_MODE_CREATE_DUMB", drm.IoctlCreateDumb, 0xc02064b2},
		{"DRM_IOCTL_MODE_MAP_DUMB", drm.IoctlMapDumb, 0xc01064b3},
		{"DRM_IOCTL_MODE_DESTROY_DUMB", drm.IoctlDestroyDumb, 0xc00464b4},
		{"DRM_IOCTL_MODE_GETPLANERESOURCES", drm.IoctlGetPlaneRes, 0xc01064b5},
		{"DRM_IOCTL_MODE_GETPLANE", drm.IoctlGetPlane, 0xc02064b6},
		{"DRM_IOCTL_MODE_ADDFB2", drm.IoctlAddFB2, 0xc06864b8},
		{"DRM_IOCTL_MODE_OBJ_GETPROPERTIES", drm.IoctlObjGetProperties, 0xc02064b9},
		{"DRM_IOCTL_MODE_ATOMIC", drm.IoctlAtomic, 0xc03864bc},
		{"DRM_IOCTL_MODE_CREATEPROPBLOB", drm.IoctlCreatePropBlob, 0xc01064bd},
		{"DRM_IOCTL_MODE_DESTROYPROPBLOB", drm.IoctlDestroyPropBlob, 0xc00464be},
		{"DRM_IOCTL_MODE_CLOSEFB", drm.IoctlCloseFB, 0xc00864d0},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

func event(typ, length, sequence uint32) []byte {
	var b bytes.Buffer
	ev := drm.Event{Type: typ, Length: length, UserData: 7, Sec: 1, Usec: 2, Sequence: sequence, Crtc: 9}
	if err := binary.Write(&b, binary.NativeEndian, ev); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestParseEvents(t *testing.T) {
	stream := bytes.Join([][]byte{event(2, 32, 100), event(1, 32, 101), event(2, 32, 102)}, nil)
	got := drm.ParseEvents(stream)
	if len(got) != 2 || got[0].Sequence != 100 || got[1].Sequence != 102 || got[0].UserData != 7 || got[0].Crtc != 9 {
		t.Errorf("the two flips among three events were read as %+v", got)
	}
	if got := drm.ParseEvents(append(event(2, 32, 5), event(2, 32, 6)[:20]...)); len(got) != 1 {
		t.Errorf("a cut second event gives %+v, want the first only", got)
	}
	if got := drm.ParseEvents(event(2, 0, 5)); len(got) != 0 {
		t.Errorf("an event of length 0 was read as %+v", got)
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add(event(2, 32, 100))
	f.Add(append(event(2, 32, 1), event(9, 64, 2)...))
	f.Add(event(2, 0xffffffff, 2))
	f.Fuzz(func(t *testing.T, p []byte) {
		if n := len(drm.ParseEvents(p)); n > len(p)/32 {
			t.Errorf("%d events in %d bytes", n, len(p))
		}
	})
}
