// Package drm speaks the kernel's mode-setting interface (KMS, its atomic half) over ioctls: what can be connected, in
// which modes, through which planes; buffers in memory; commits and their completion events.
//
// It holds no policy: that is hw/display.
package drm

import (
	"unsafe"

	"porthole/hw/internal/sys"
)

// The structs below are those of include/uapi/drm/drm.h and drm_mode.h; their sizes are checked by a test.

// Version is struct drm_version (drm.h).
type Version struct {
	Major, Minor, Patch int32
	_                   uint32
	NameLen, NamePtr    uint64
	DateLen, DatePtr    uint64
	DescLen, DescPtr    uint64
}

// Cap is struct drm_get_cap and drm_set_client_cap (drm.h).
type Cap struct {
	Capability, Value uint64
}

// CardRes is struct drm_mode_card_res.
type CardRes struct {
	FBIDPtr, CrtcIDPtr, ConnectorIDPtr, EncoderIDPtr     uint64
	CountFBs, CountCrtcs, CountConnectors, CountEncoders uint32
	MinWidth, MaxWidth, MinHeight, MaxHeight             uint32
}

// ModeInfo is struct drm_mode_modeinfo: one mode's timing. Clock is in kHz.
type ModeInfo struct {
	Clock                                         uint32
	HDisplay, HSyncStart, HSyncEnd, HTotal, HSkew uint16
	VDisplay, VSyncStart, VSyncEnd, VTotal, VScan uint16
	VRefresh                                      uint32
	Flags, Type                                   uint32
	Name                                          [32]byte
}

// Mode flags and types (drm_mode.h).
const (
	ModeFlagPHSync    = 1 << 0
	ModeFlagPVSync    = 1 << 2
	ModeFlagInterlace = 1 << 4
	ModeFlagDblScan   = 1 << 5
	ModeFlagAspect169 = 2 << 19
	ModeTypePreferred = 1 << 3
	ModeTypeUserDef   = 1 << 5
	ModeTypeDriver    = 1 << 6
)

// GetEncoder is struct drm_mode_get_encoder.
type GetEncoder struct {
	EncoderID, EncoderType, CrtcID, PossibleCrtcs, PossibleClones uint32
}

// GetConnector is struct drm_mode_get_connector.
type GetConnector struct {
	EncodersPtr, ModesPtr, PropsPtr, PropValuesPtr         uint64
	CountModes, CountProps, CountEncoders                  uint32
	EncoderID, ConnectorID, ConnectorType, ConnectorTypeID uint32
	Connection, MMWidth, MMHeight, Subpixel                uint32
	_                                                      uint32
}

// Values of GetConnector.Connection (include/drm/drm_connector.h, enum drm_connector_status).
const (
	Connected         = 1
	Disconnected      = 2
	UnknownConnection = 3
)

// GetProperty is struct drm_mode_get_property.
type GetProperty struct {
	ValuesPtr, EnumBlobPtr      uint64
	PropID, Flags               uint32
	Name                        [32]byte
	CountValues, CountEnumBlobs uint32
}

// Flags of a property (drm_mode.h).
const (
	PropImmutable = 1 << 2
	PropEnum      = 1 << 3
	PropBitmask   = 1 << 5
)

// PropertyEnum is struct drm_mode_property_enum.
type PropertyEnum struct {
	Value uint64
	Name  [32]byte
}

// GetBlob is struct drm_mode_get_blob.
type GetBlob struct {
	BlobID, Length uint32
	Data           uint64
}

// CreateDumb is struct drm_mode_create_dumb. BPP is bits per pixel; Pitch and Size are answered in bytes.
type CreateDumb struct {
	Height, Width, BPP, Flags uint32
	Handle, Pitch             uint32
	Size                      uint64
}

// MapDumb is struct drm_mode_map_dumb.
type MapDumb struct {
	Handle uint32
	_      uint32
	Offset uint64
}

// GetPlaneRes is struct drm_mode_get_plane_res.
type GetPlaneRes struct {
	PlaneIDPtr  uint64
	CountPlanes uint32
	_           uint32
}

// GetPlane is struct drm_mode_get_plane.
type GetPlane struct {
	PlaneID, CrtcID, FBID, PossibleCrtcs, GammaSize, CountFormats uint32
	FormatPtr                                                     uint64
}

// FBCmd2 is struct drm_mode_fb_cmd2.
type FBCmd2 struct {
	FBID, Width, Height, PixelFormat, Flags uint32
	Handles, Pitches, Offsets               [4]uint32
	_                                       uint32
	Modifier                                [4]uint64
}

// ObjGetProperties is struct drm_mode_obj_get_properties.
type ObjGetProperties struct {
	PropsPtr, PropValuesPtr    uint64
	CountProps, ObjID, ObjType uint32
	_                          uint32
}

// Object types (drm_mode.h, DRM_MODE_OBJECT_*).
const (
	ObjectCrtc      = 0xcccccccc
	ObjectConnector = 0xc0c0c0c0
	ObjectPlane     = 0xeeeeeeee
)

// Atomic is struct drm_mode_atomic.
type Atomic struct {
	Flags, CountObjs                                uint32
	ObjsPtr, CountPropsPtr, PropsPtr, PropValuesPtr uint64
	_                                               uint64
	UserData                                        uint64
}

// Flags of a commit (drm_mode.h, DRM_MODE_PAGE_FLIP_EVENT and DRM_MODE_ATOMIC_*).
const (
	CommitEvent        = 0x01
	CommitTestOnly     = 0x0100
	CommitNonblock     = 0x0200
	CommitAllowModeset = 0x0400
)

// CreateBlob is struct drm_mode_create_blob.
type CreateBlob struct {
	Data           uint64
	Length, BlobID uint32
}

// CloseFB is struct drm_mode_closefb (Linux 6.8).
type CloseFB struct {
	FBID uint32
	_    uint32
}

// Event is struct drm_event_vblank (drm.h): what a read of the device returns when a flip is done.
type Event struct {
	Type, Length              uint32
	UserData                  uint64
	Sec, Usec, Sequence, Crtc uint32
}

// eventFlipComplete is DRM_EVENT_FLIP_COMPLETE (drm.h).
const eventFlipComplete = 0x02

// Capabilities (drm.h).
const (
	capDumbBuffer           = 0x1
	clientCapUniversalPlane = 2
	clientCapAtomic         = 3
)

// Pixel formats (include/uapi/drm/drm_fourcc.h): B, G, R, X bytes in memory, and planar 4:2:0 Y, U, V.
const (
	FormatXRGB8888 = 'X' | 'R'<<8 | '2'<<16 | '4'<<24
	FormatYUV420   = 'Y' | 'U'<<8 | '1'<<16 | '2'<<24
)

// Connector types that have a name of their own here (drm_mode.h, DRM_MODE_CONNECTOR_*).
const (
	ConnectorVGA       = 1
	ConnectorDVII      = 2
	ConnectorDVID      = 3
	ConnectorDVIA      = 4
	ConnectorDP        = 10
	ConnectorHDMIA     = 11
	ConnectorHDMIB     = 12
	ConnectorVirtual   = 15
	ConnectorDSI       = 16
	ConnectorWriteback = 18
)

// Requests (drm.h, DRM_IOCTL_*).
const (
	group = 'd' << sys.GroupShift // DRM_IOCTL_BASE
	io    = group
	iow   = sys.IocWrite | group
	iowr  = sys.IocReadWrite | group

	IoctlVersion      = iowr | unsafe.Sizeof(Version{})<<sys.SizeShift
	IoctlGetCap       = iowr | 0x0c | unsafe.Sizeof(Cap{})<<sys.SizeShift
	IoctlSetClientCap = iow | 0x0d | unsafe.Sizeof(Cap{})<<sys.SizeShift
	IoctlSetMaster    = io | 0x1e
	IoctlDropMaster   = io | 0x1f

	IoctlGetResources     = iowr | 0xa0 | unsafe.Sizeof(CardRes{})<<sys.SizeShift
	IoctlGetEncoder       = iowr | 0xa6 | unsafe.Sizeof(GetEncoder{})<<sys.SizeShift
	IoctlGetConnector     = iowr | 0xa7 | unsafe.Sizeof(GetConnector{})<<sys.SizeShift
	IoctlGetProperty      = iowr | 0xaa | unsafe.Sizeof(GetProperty{})<<sys.SizeShift
	IoctlGetPropBlob      = iowr | 0xac | unsafe.Sizeof(GetBlob{})<<sys.SizeShift
	IoctlRmFB             = iowr | 0xaf | 4<<sys.SizeShift
	IoctlCreateDumb       = iowr | 0xb2 | unsafe.Sizeof(CreateDumb{})<<sys.SizeShift
	IoctlMapDumb          = iowr | 0xb3 | unsafe.Sizeof(MapDumb{})<<sys.SizeShift
	IoctlDestroyDumb      = iowr | 0xb4 | 4<<sys.SizeShift
	IoctlGetPlaneRes      = iowr | 0xb5 | unsafe.Sizeof(GetPlaneRes{})<<sys.SizeShift
	IoctlGetPlane         = iowr | 0xb6 | unsafe.Sizeof(GetPlane{})<<sys.SizeShift
	IoctlAddFB2           = iowr | 0xb8 | unsafe.Sizeof(FBCmd2{})<<sys.SizeShift
	IoctlObjGetProperties = iowr | 0xb9 | unsafe.Sizeof(ObjGetProperties{})<<sys.SizeShift
	IoctlAtomic           = iowr | 0xbc | unsafe.Sizeof(Atomic{})<<sys.SizeShift
	IoctlCreatePropBlob   = iowr | 0xbd | unsafe.Sizeof(CreateBlob{})<<sys.SizeShift
	IoctlDestroyPropBlob  = iowr | 0xbe | 4<<sys.SizeShift
	IoctlCloseFB          = iowr | 0xd0 | unsafe.Sizeof(CloseFB{})<<sys.SizeShift
)
