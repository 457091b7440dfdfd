import type { ProjectId } from '@fieldbook/core';
import type { SavedView } from '@fieldbook/core/documents';

/** Saved views and links: records of the workspace that everybody gets, also made offline. */
export interface ViewsApi {
  /** By name. */
  views(project: ProjectId): Promise<SavedView[]>;
  /** Makes a view (`view` null) or says something new of one. Returns its id. Throws `config_invalid` while nobody said who writes. */
  writeView(project: ProjectId, view: string | null, said: ViewSaid): Promise<string>;
  /** Keeps a page's path and search, and returns the id of the link to it. */
  makeLink(target: string): Promise<string>;
  /** Where others of the workspace open links of this page; null where its own address is all there is. */
  sharedAt(): Promise<SharedAt | null>;
  /** Where a link leads; null when nobody here knows it. Waits for the workspace to be read from this browser, not for a server. */
  link(id: string): Promise<string | null>;
}

/** The relay of the agent that served the page. */
export interface SharedAt {
  /** Its address, without a `/` at the end. */
  url: string;
  /** The agent has it right now: what is new is there in a moment. */
  reached: boolean;
}

/** What is said of a view; what is absent stays as it is. */
export interface ViewSaid {
  name?: string;
  /** The search part of the project page's address. */
  search?: string;
  removed?: boolean;
  /** The project opens with it, or with none. */
  usual?: boolean;
}

export type { SavedView };
