#include "config.h"

#include "settings_tables.h"

#define AT(member) offsetof(struct milterd_settings, member)
/* clang-format off */
static const struct conf_field milterd_fields[] = {
	{ .name = "socket", .type = CONF_ENDPOINT, .offset = AT(socket), .fallback = "unix:" WEIR_RUNDIR "/milterd.sock", .unit = "",
	  .about = "Where the MTA reaches the filter: unix:PATH or inet:HOST:PORT." },
	{ .name = "socket_mode", .type = CONF_INT, .offset = AT(socket_mode), .fallback = "660", .max = 777, .unit = "",
	  .about = "Access to a Unix socket, as chmod(1) writes it." },
	{ .name = "rules", .type = CONF_STR, .offset = AT(rules), .fallback = WEIR_SYSCONFDIR "/rules", .min = 1, .max = 4000, .unit = "",
	  .about = "The folder of the rule files, layered in name order." },
	{ .name = "store", .type = CONF_STR, .offset = AT(store), .fallback = "lmdb:" WEIR_STATEDIR, .min = 1, .max = 4000, .unit = "",
	  .about = "Where what was learnt is kept: lmdb:FOLDER." },
	{ .name = "store_bytes", .type = CONF_INT, .offset = AT(store_bytes), .fallback = "1073741824", .min = 1048576, .max = 1e12, .unit = "octets",
	  .about = "The most that the store may grow to." },
	{ .name = "antivirus/enabled", .type = CONF_BOOL, .offset = AT(antivirus.enabled), .fallback = "true", .unit = "",
	  .about = "Scan for viruses when a rule asks for it." },
	{ .name = "antivirus/database", .type = CONF_STR, .offset = AT(antivirus.database), .fallback = "/var/lib/clamav", .min = 1, .max = 4000, .unit = "",
	  .about = "The folder of ClamAV's signatures." },
	{ .name = "antivirus/scanner", .type = CONF_STR, .offset = AT(antivirus.scanner), .fallback = "", .max = 4000, .unit = "",
	  .about = "The scanner's executable; empty: beside the program, else where it was installed." },
	{ .name = "antivirus/workers", .type = CONF_INT, .offset = AT(antivirus.workers), .fallback = "0", .max = 256, .unit = "",
	  .about = "Scanner processes; 0 means one for each core." },
	{ .name = "antivirus/time_ms", .type = CONF_INT, .offset = AT(antivirus.time_ms), .fallback = "25000", .min = 10, .max = 600000, .unit = "ms",
	  .about = "The longest scan; a longer one is an error." },
	{ .name = "antivirus/scan_bytes", .type = CONF_INT, .offset = AT(antivirus.scan_bytes), .fallback = "157286400", .min = 1024, .max = 4e9, .unit = "octets",
	  .about = "The most that is unpacked and scanned of one message." },
	{ .name = "antivirus/file_bytes", .type = CONF_INT, .offset = AT(antivirus.file_bytes), .fallback = "104857600", .min = 1024, .max = 2e9, .unit = "octets",
	  .about = "The largest single file inside a message that is scanned." },
	{ .name = "antivirus/recursion", .type = CONF_INT, .offset = AT(antivirus.recursion), .fallback = "10", .min = 1, .max = 100, .unit = "",
	  .about = "How deep archives may nest." },
	{ .name = "antivirus/files", .type = CONF_INT, .offset = AT(antivirus.files), .fallback = "2000", .min = 1, .max = 1000000, .unit = "",
	  .about = "The most files of one message that are scanned." },
	{ .name = "control", .type = CONF_ENDPOINT, .offset = AT(control), .fallback = "unix:" WEIR_RUNDIR "/milterd.ctl", .unit = "",
	  .about = "The control socket for weir reload and weir status." },
	{ .name = "user", .type = CONF_STR, .offset = AT(user), .fallback = "weir", .max = 64, .unit = "",
	  .about = "The user to become when started as root; ignored otherwise. Empty: stay." },
	{ .name = "sessions", .type = CONF_INT, .offset = AT(sessions), .fallback = "1000", .min = 1, .max = 100000, .unit = "",
	  .about = "MTA connections at once; one more is answered with a temporary failure." },
	{ .name = "message_bytes", .type = CONF_INT, .offset = AT(message_bytes), .fallback = "157286400", .min = 1024, .max = 4e9, .unit = "octets",
	  .about = "The most of one message that is kept for looking at; what lies behind is counted, not seen." },
	{ .name = "drain_s", .type = CONF_INT, .offset = AT(drain_s), .fallback = "30", .max = 3600, .unit = "s",
	  .about = "How long messages in hand may take to end after a stop." },
	{ .name = "body_text_bytes", .type = CONF_INT, .offset = AT(body_text_bytes), .fallback = "262144", .min = 1024, .max = 67108864, .unit = "octets",
	  .about = "The most of body.text, body.html and body.raw that rules see." },
};
/* clang-format on */
const struct conf_table milterd_table = { "milterd", milterd_fields, COUNT(milterd_fields),
	sizeof(struct milterd_settings) };
#undef AT

#define AT(member) offsetof(struct log_settings, member)
/* clang-format off */
static const struct conf_field log_fields[] = {
	{ .name = "to", .type = CONF_STR, .offset = AT(to), .fallback = "stderr", .min = 1, .max = 4000, .unit = "",
	  .about = "stderr, syslog, or a file, which weir reload opens again; a daemon in the background says syslog where stderr stands." },
	{ .name = "format", .type = CONF_STR, .offset = AT(format), .fallback = "text", .min = 1, .max = 8, .unit = "",
	  .about = "text (key=value) or json (one object a line)." },
	{ .name = "level", .type = CONF_STR, .offset = AT(level), .fallback = "info", .min = 1, .max = 8, .unit = "",
	  .about = "The least that is logged: debug, info, warn or error." },
};
/* clang-format on */
const struct conf_table log_table = { "log", log_fields, COUNT(log_fields),
	sizeof(struct log_settings) };
