"""Run by Debian's Python: an RTSP server by GStreamer, a camera that is not ours.

Prints its port on one line. It serves a test picture as H.264 at /cam, and as Motion JPEG, which
the agent does not take, at /mjpeg. The picture is colour bars above a field of snow: sharp, neither
dark nor covered, never the same twice. So the agent's checks let it pass.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
CAPS = "video/x-raw,format=I420,width=640,height=480,framerate=25/1"
PICTURE = f"videotestsrc is-live=true pattern=smpte ! {CAPS}"
CODERS = {
    "/cam": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay pt=96",
    "/mjpeg": "jpegenc ! rtpjpegpay pt=26",
}
for path, coder in CODERS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {PICTURE} ! {coder} name=pay0 )")
    factory.set_shared(True)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)  # noqa: T201
GLib.MainLoop().run()
