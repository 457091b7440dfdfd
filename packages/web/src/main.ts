import './styles/tokens.css';
import './styles/base.css';
import { mount } from 'svelte';
import App from './app/App.svelte';
import { takeToken } from './app/token.ts';
import { client } from './state/client.svelte.ts';
import { now } from './state/now.svelte.ts';
import { router } from './state/router.svelte.ts';
import { unitChoice } from './state/units.svelte.ts';
import { theme } from './state/theme.svelte.ts';

const token = takeToken();
theme.start();
unitChoice.start();
now.start();
router.start();
mount(App, { target: document.getElementById('app')! });
void client.start(token);
