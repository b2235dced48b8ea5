/*
 * Pictures handed over in shared memory
 *
 * This file is part of Porthole's build of FFmpeg and under FFmpeg's own licence, the GNU Lesser General Public License,
 * version 2.1 or later (LICENSES/ffmpeg-LGPL-2.1.txt beside the program).
 */

/**
 * @file
 * An "encoder" that copies each picture, packed as raw video is, into one of a few slots of memory that was mapped from a
 * descriptor it was started with, and makes a packet of the slot's number: four bytes, little endian. A slot is free again
 * when its number, one byte, comes in over a pipe; while none is free it waits, and all of ffmpeg with it.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "avcodec.h"
#include "codec_internal.h"
#include "encode.h"
#include "raw.h"
#include "libavutil/imgutils.h"
#include "libavutil/intreadwrite.h"
#include "libavutil/opt.h"

typedef struct SharedContext {
    const AVClass *class;
    int memory_fd;
    int free_fd;
    int slots;
    int slot_size;

    uint8_t *base;
    int used; /* slots that were handed out at least once */
} SharedContext;

static av_cold int shared_init(AVCodecContext *avctx)
{
    SharedContext *s = avctx->priv_data;
    void *base;

    if (s->memory_fd < 0 || s->free_fd < 0 || s->slots <= 0 || s->slot_size <= 0) {
        av_log(avctx, AV_LOG_ERROR, "memory_fd, free_fd, slots and slot_size are required\n");
        return AVERROR(EINVAL);
    }
    base = mmap(NULL, (size_t)s->slots * s->slot_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->memory_fd, 0);
    if (base == MAP_FAILED) {
        int err = AVERROR(errno);
        av_log(avctx, AV_LOG_ERROR, "map the memory for pictures: %s\n", av_err2str(err));
        return err;
    }
    s->base = base;
    avctx->codec_tag = avcodec_pix_fmt_to_codec_tag(avctx->pix_fmt);
    return 0;
}

static av_cold int shared_close(AVCodecContext *avctx)
{
    SharedContext *s = avctx->priv_data;

    if (s->base)
        munmap(s->base, (size_t)s->slots * s->slot_size);
    s->base = NULL;
    return 0;
}

/* Waits for a slot that nobody looks at. */
static int shared_slot(AVCodecContext *avctx)
{
    SharedContext *s = avctx->priv_data;
    uint8_t slot;
    ssize_t n;

    if (s->used < s->slots)
        return s->used++;
    do
        n = read(s->free_fd, &slot, 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return AVERROR(errno);
    if (n == 0 || slot >= s->slots)
        return AVERROR_EXIT; /* whoever takes the pictures is gone */
    return slot;
}

static int shared_encode(AVCodecContext *avctx, AVPacket *pkt, const AVFrame *frame, int *got_packet)
{
    SharedContext *s = avctx->priv_data;
    int slot, ret;

    if (frame->width != avctx->width || frame->height != avctx->height || frame->format != avctx->pix_fmt) {
        av_log(avctx, AV_LOG_ERROR, "the picture's size changed from %dx%d to %dx%d\n",
               avctx->width, avctx->height, frame->width, frame->height);
        return AVERROR_INVALIDDATA;
    }
    if ((ret = ff_get_encode_buffer(avctx, pkt, 4, 0)) < 0)
        return ret;
    if ((slot = shared_slot(avctx)) < 0)
        return slot;
    ret = av_image_copy_to_buffer(s->base + (size_t)slot * s->slot_size, s->slot_size, (const uint8_t * const *)frame->data,
                                  frame->linesize, frame->format, frame->width, frame->height, 1);
    if (ret < 0) {
        av_log(avctx, AV_LOG_ERROR, "a picture of %dx%d is too large\n", frame->width, frame->height);
        return ret;
    }
    AV_WL32(pkt->data, slot);
    *got_packet = 1;
    return 0;
}

#define OFFSET(x) offsetof(SharedContext, x)
#define VE AV_OPT_FLAG_VIDEO_PARAM | AV_OPT_FLAG_ENCODING_PARAM
static const AVOption shared_options[] = {
    { "memory_fd", "descriptor of the memory",            OFFSET(memory_fd), AV_OPT_TYPE_INT, { .i64 = -1 }, -1, INT_MAX, VE },
    { "free_fd",   "descriptor that free slots come from", OFFSET(free_fd),   AV_OPT_TYPE_INT, { .i64 = -1 }, -1, INT_MAX, VE },
    { "slots",     "how many pictures fit",               OFFSET(slots),     AV_OPT_TYPE_INT, { .i64 = 0 },  0, 255,     VE },
    { "slot_size", "bytes of a slot",                     OFFSET(slot_size), AV_OPT_TYPE_INT, { .i64 = 0 },  0, INT_MAX, VE },
    { NULL },
};

static const AVClass shared_class = {
    .class_name = "shared",
    .item_name  = av_default_item_name,
    .option     = shared_options,
    .version    = LIBAVUTIL_VERSION_INT,
};

const FFCodec ff_shared_encoder = {
    .p.name         = "shared",
    .p.long_name    = NULL_IF_CONFIG_SMALL("pictures in shared memory"),
    .p.type         = AVMEDIA_TYPE_VIDEO,
    .p.id           = AV_CODEC_ID_RAWVIDEO,
    .p.capabilities = AV_CODEC_CAP_DR1,
    .p.priv_class   = &shared_class,
    .p.pix_fmts     = (const enum AVPixelFormat[]) { AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_NONE },
    .priv_data_size = sizeof(SharedContext),
    .init           = shared_init,
    .close          = shared_close,
    FF_CODEC_ENCODE_CB(shared_encode),
};
