/**
 * Every limit of the core in one place, each with its reason. Bytes are UTF-8 bytes unless said otherwise.
 * Raising one is compatible (an older replica refuses the record, keeps everything else); lowering one is not.
 */
export const LIMITS = {
  /** Chosen run ids become file names (journals) and room names; 64 fits every file system and a table cell. */
  runIdLength: 64,
  /** Normalised project names become file names and document names. */
  projectIdLength: 64,
  /** Long enough for `validation/per_class/some dataset/f1`; short enough that 10,000 of them stay under 1 MB. */
  pathBytes: 512,
  /** One run's name is one line of a table. */
  nameBytes: 512,
  /** Notes are a Markdown text typed by a person; a report is a document of its own. */
  notesBytes: 64 * 1024,
  /** A tag is a word or two. */
  tagBytes: 128,
  /** More than this is a data column, not a label; bounds the fold per run. */
  tagsPerRun: 256,
  /** A string parameter: a path, a command, a short prompt. Longer texts are files. */
  attributeValueBytes: 4 * 1024,
  /** Texts of a list that a person sets; a list of classes or files, not a data column. */
  attributeTexts: 256,
  /** Paths that people's edits may name on one run: as many as its card shows. Bounds the fold per run. */
  editedAttributes: 1_000,
  /** Cards are loaded for every run of a project: 100,000 of them must stay near 100 MB. What does not fit lives in the run document. */
  cardAttributes: 1_000,
  /** Metrics summarised on a card; the run document and segments hold all of them. */
  cardMetrics: 2_000,
  /** One card. 1,000 long parameters fit; a hostile record does not fill a browser's memory. */
  cardBytes: 256 * 1024,
  /** One edit: the longest notes text plus its envelope. */
  editBytes: 72 * 1024,
  /** One entry of a run document (segment, tail, environment, source). */
  entryBytes: 1024 * 1024,
  /** Edits that an edit may name as seen. Concurrent heads are a handful; observed adds of one tag likewise. */
  baseCount: 64,
  /** A key of a map in a document. Ours are ids and slashes, 140 at most; newer versions have room. */
  keyBytes: 1024,
  /** Nesting of a record's value; ours need 4. Bounds the decoder's recursion. */
  valueDepth: 16,
  /** Elements of all arrays and objects of one record together; bounds allocation before the size is known. */
  valueElements: 200_000,
  /** One Yjs update in one frame. A month of 100,000 cards travels as a compressed response, not as a frame. */
  updateBytes: 16 * 1024 * 1024,
  /** Structs in one update: what 100,000 rewritten cards need; decoding costs about 1 µs each. */
  updateStructs: 500_000,
  /** Client ids that an update may bring into a document: every device and page that ever wrote in a project's month, at once. */
  updateClients: 10_000,
  /** Client ids in one document. Each costs every later change 0.3 µs: 15 ms at this many. */
  documentClients: 50_000,
  /** Client ids that one update of a contributor may bring: its machine's, and those of restores and pages. */
  contributionClients: 64,
  /** One document loaded in memory. */
  documentBytes: 512 * 1024 * 1024,
  /** The text of one run's notes with all its history: 64 kB of text and some 100,000 places where somebody typed or deleted. */
  noteDocumentBytes: 2 * 1024 * 1024,
  /** One blob over HTTP in one request. */
  blobBytes: 64 * 1024 * 1024,
  /** JSON bodies of the HTTP API. */
  requestBytes: 1024 * 1024,
  /** Path and search of a page that a link or a saved view keeps: 1,400 selected runs, and everybody's browser holds all of them. */
  addressLength: 16 * 1024,
  /** A query typed by a person or kept in a link. */
  queryLength: 8 * 1024,
  /** Parentheses and `not`s in a query; bounds the parser's recursion. */
  queryDepth: 64,
  /** Characters of one regular expression in a query. */
  patternLength: 512,
  /** Instructions that a regular expression compiles to; a character costs at most as many steps. */
  patternSize: 1_000,
  /** How far ahead of our own clock a remote edit's clock may pull ours: a day covers every time-zone mistake, a year-2100 clock does not poison the workspace. */
  clockAheadMs: 24 * 60 * 60 * 1000,
} as const;

/** The least in bytes per second that a connection can be limited to: a chunk of 8 MiB then takes nine minutes, and a relay gives up a body that comes slower than 32 kB a minute. */
export const BANDWIDTH_MIN = 16_000;
